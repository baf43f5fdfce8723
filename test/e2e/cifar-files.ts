/** CIFAR-10 files made on the spot: every class has a colour and a bright corner of its own, so that a few steps learn something. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const PIXELS = 32 * 32

/** `count` records with the labels 0, 1, ... 9, 0, ...; the noise follows from `seed`. */
export function cifarRecords(count: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(count * (1 + 3 * PIXELS))
  let state = (seed * 2654435761 + 1) >>> 0
  const noise = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 26
  }
  for (let i = 0; i < count; i++) {
    const label = i % 10
    const record = bytes.subarray(i * (1 + 3 * PIXELS), (i + 1) * (1 + 3 * PIXELS))
    record[0] = label
    for (let c = 0; c < 3; c++) {
      const base = 40 + ((label * (37 + 23 * c)) % 128)
      for (let p = 0; p < PIXELS; p++) {
        const corner = Math.floor(p / 32) < 16 === label < 5 && p % 32 < 16 === (label % 2 === 0)
        record[1 + c * PIXELS + p] = base + (corner ? 20 : 0) + noise()
      }
    }
  }
  return bytes
}

/** A folder with data_batch_1.bin and test_batch.bin. */
export async function writeCifar(dir: string, { train, val }: { train: number; val: number }): Promise<string> {
  await mkdir(dir, { recursive: true })
  if (train > 0) await writeFile(join(dir, 'data_batch_1.bin'), cifarRecords(train, 1))
  if (val > 0) await writeFile(join(dir, 'test_batch.bin'), cifarRecords(val, 2))
  return dir
}
