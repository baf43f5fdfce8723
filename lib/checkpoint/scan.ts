/** Which checkpoints a folder holds, which of them are whole, and which to delete. The newest is found by looking, never through a pointer. */
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { integer } from '../check.js'
import { hashFile, ioError, syncFolder, temporaryName } from './files.js'
import { checkpointFiles, readManifest } from './manifest.js'

export interface Verification {
  ok: boolean
  /** One line each, naming the file. */
  problems: string[]
}

export interface FoundCheckpoint {
  path: string
  step: number
}

export interface SkippedCheckpoint {
  path: string
  reason: string
}

export interface Scan {
  newest: FoundCheckpoint | null
  /** Newer ones that are not whole. */
  skipped: SkippedCheckpoint[]
}

/** While a checkpoint is replaced by another of the same step, the old one has this ending. */
export const DISPLACED = '.old'

export function checkpointName(step: number): string {
  return `step-${String(step).padStart(8, '0')}`
}

/** True for the name of a checkpoint folder. */
export function isCheckpointName(name: string): boolean {
  return stepOf(name) !== null
}

/** Reads and hashes every file of a checkpoint. Never throws for a bad one. */
export async function verifyCheckpoint(path: string): Promise<Verification> {
  const manifest = await readManifest(path)
  if (typeof manifest === 'string') return { ok: false, problems: [manifest] }
  const problems: string[] = []
  for (const name of checkpointFiles) {
    const expected = manifest.files[name]
    try {
      const { size } = await stat(join(path, name))
      if (size !== expected.size) problems.push(`${name} has ${size} bytes; expected ${expected.size}`)
      else if ((await hashFile(join(path, name))).sha256 !== expected.sha256) {
        problems.push(`${name} was changed: its SHA-256 does not match`)
      }
    } catch (error) {
      problems.push(`${name} cannot be read: ${(error as Error).message}`)
    }
  }
  return { ok: problems.length === 0, problems }
}

/** The newest whole checkpoint of a `checkpoints` folder, and the newer ones that had to be passed over; null where none is whole. */
export async function findCheckpoint(dir: string): Promise<(FoundCheckpoint & { skipped: SkippedCheckpoint[] }) | null> {
  const { newest, skipped } = await scanCheckpoints(dir)
  return newest === null ? null : { ...newest, skipped }
}

/** The same, telling what was skipped also where none is whole. A missing folder holds none. */
export async function scanCheckpoints(dir: string): Promise<Scan> {
  const skipped: SkippedCheckpoint[] = []
  for (const found of await listCheckpoints(dir)) {
    const { ok, problems } = await verifyCheckpoint(found.path)
    if (ok) return { newest: found, skipped }
    skipped.push({ path: found.path, reason: problems.join('; ') })
  }
  return { newest: null, skipped }
}

/** All checkpoints, whole or not, the newest first. */
export async function listCheckpoints(dir: string): Promise<FoundCheckpoint[]> {
  let names: string[]
  try {
    names = await readdir(dir)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw await ioError(dir, 'Cannot read', cause)
  }
  const found = names.flatMap((name) => {
    const step = stepOf(name)
    return step === null ? [] : [{ path: join(dir, name), step }]
  })
  return found.sort((a, b) => b.step - a.step || a.path.length - b.path.length)
}

/**
 * Keeps the `keep` (at least 2) newest checkpoints and deletes older ones, but only after the newest has been verified; returns the deleted ones.
 * Throws ERR_SKNET_CHECKPOINT_IO.
 */
export async function pruneCheckpoints(dir: string, keep: number): Promise<string[]> {
  integer('keep', keep, { min: 2 })
  const all = await listCheckpoints(dir)
  const old = all.slice(keep)
  if (old.length === 0 || !(await verifyCheckpoint(all[0]!.path)).ok) return []
  for (const { path } of old.toReversed()) {
    // Renamed first: a kill in the middle must not leave half a checkpoint under its name.
    const temporary = join(dir, temporaryName())
    try {
      await rename(path, temporary)
      await rm(temporary, { recursive: true })
    } catch (cause) {
      throw await ioError(path, 'Cannot delete', cause)
    }
  }
  await syncFolder(dir)
  return old.map(({ path }) => path)
}

function stepOf(name: string): number | null {
  const digits = /^step-(\d{8,15})(\.old)?$/.exec(name)?.[1]
  return digits === undefined ? null : Number(digits)
}
