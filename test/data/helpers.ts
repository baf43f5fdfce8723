/** What the data tests share: temporary folders, test pictures, errors as values. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { SknetError } from '../../lib/errors.js'
import type { LoaderBatch } from '../../lib/data/loader.js'

/** A folder for one test file: made by `files`, removed by `remove`. */
export function temporaryFolder() {
  const root = mkdtempSync(join(tmpdir(), 'sknet-data-'))
  return {
    root,
    /** Writes files below the folder, by relative path, and returns the path of `name` in it. */
    files(name: string, content: Record<string, Uint8Array | string>): string {
      const folder = join(root, name)
      mkdirSync(folder, { recursive: true })
      for (const [file, data] of Object.entries(content)) {
        mkdirSync(dirname(join(folder, file)), { recursive: true })
        writeFileSync(join(folder, file), data)
      }
      return folder
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  }
}

/** Bytes that look random and always are the same. */
export function pseudoRandomBytes(count: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(count)
  let state = seed >>> 0 || 1
  for (let i = 0; i < count; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state >>> 24
  }
  return bytes
}

/** The SknetError that `run` ends with; anything else is a failure. */
export async function errorOf(run: () => unknown): Promise<SknetError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof SknetError) return error
    throw error
  }
  throw new Error('no error was thrown')
}

export async function collect(batches: AsyncIterable<LoaderBatch>): Promise<LoaderBatch[]> {
  const all: LoaderBatch[] = []
  for await (const batch of batches) all.push(batch)
  return all
}

/** CIFAR records: [labels..., 3072 pixel bytes] each. */
export function cifarRecords(labels: number[][], seed: number): Uint8Array {
  const size = labels[0]!.length + 3072
  const out = new Uint8Array(labels.length * size)
  labels.forEach((bytes, i) => {
    out.set(bytes, i * size)
    out.set(pseudoRandomBytes(3072, seed * 1000 + i + 1), i * size + bytes.length)
  })
  return out
}
