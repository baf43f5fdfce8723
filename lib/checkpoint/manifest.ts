/** `manifest.json` of a checkpoint: what files belong to it, their sizes and hashes, and a hash of itself. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isInteger, isObject } from '../check.js'
import type { Digest } from './files.js'

export const checkpointFiles = ['model.safetensors', 'state.safetensors', 'state.json'] as const

export type CheckpointFile = (typeof checkpointFiles)[number]

export interface Manifest {
  format: 'sknet-checkpoint-1'
  step: number
  files: Record<CheckpointFile, Digest>
}

export const MANIFEST = 'manifest.json'
const FORMAT = 'sknet-checkpoint-1'
/** A manifest has a few hundred bytes; anything much larger is none. */
const LARGEST = 65536

/** The file's text; its last field is the hash of the text without that field. */
export function manifestText(step: number, files: Record<CheckpointFile, Digest>): string {
  const body = {
    format: FORMAT,
    step,
    files: Object.fromEntries(checkpointFiles.map((name) => [name, { size: files[name].size, sha256: files[name].sha256 }])),
  }
  const sha256 = createHash('sha256').update(JSON.stringify(body)).digest('hex')
  return `${JSON.stringify({ ...body, sha256 }, null, 2)}\n`
}

/** The manifest of a checkpoint folder, or why it is none, in words. Any changed byte is found: the text must be the one we would write. */
export async function readManifest(path: string): Promise<Manifest | string> {
  let text: string
  try {
    const bytes = await readFile(join(path, MANIFEST))
    if (bytes.length > LARGEST) return `${MANIFEST} has ${bytes.length} bytes`
    text = bytes.toString('utf8')
  } catch (error) {
    return `${MANIFEST} cannot be read: ${(error as Error).message}`
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return `${MANIFEST} is no JSON`
  }
  if (!isObject(value)) return `${MANIFEST} is no object`
  const version = typeof value.format === 'string' ? /^sknet-checkpoint-(\d+)$/.exec(value.format)?.[1] : undefined
  if (version === undefined) return `${MANIFEST} has the format ${JSON.stringify(value.format)}; expected '${FORMAT}'`
  if (version !== '1') return `it has the format ${String(value.format)}, which this version does not read; upgrade sknet`
  const { step, files } = value
  if (!isInteger(step, { min: 0 }) || !isObject(files) || !checkpointFiles.every((name) => isDigest(files[name]))) {
    return `${MANIFEST} lacks a field`
  }
  const manifest = files as Record<CheckpointFile, Digest>
  if (manifestText(step, manifest) !== text) return `${MANIFEST} was changed: its hash does not match`
  return { format: FORMAT, step, files: manifest }
}

function isDigest(value: unknown): value is Digest {
  return isObject(value) && isInteger(value.size, { min: 0 }) && typeof value.sha256 === 'string'
}
