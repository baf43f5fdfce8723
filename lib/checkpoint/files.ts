/** Files that must survive a kill and a power cut: written beside, fsync'd, renamed; and hashing, in pieces that leave the event loop free. */
import { createHash, randomBytes } from 'node:crypto'
import { open, readdir, rename, rm, statfs } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SknetError } from '../errors.js'

/** Bytes hashed or copied between two turns of the event loop: a millisecond or two of hashing. */
const PIECE = 1 << 20

export interface Digest {
  size: number
  /** Hex. */
  sha256: string
}

/** ERR_SKNET_CHECKPOINT_IO naming path and cause, with the free space where that was the cause. An SknetError stays what it is. */
export async function ioError(path: string, what: string, cause: unknown): Promise<SknetError> {
  if (cause instanceof SknetError) return cause
  const { code, message } = cause as NodeJS.ErrnoException
  const free = code === 'ENOSPC' || code === 'EDQUOT' ? await freeBytes(dirname(path)) : null
  const hint = free === null ? undefined : `${free} bytes are free there`
  const text = `${what} ${path}: ${message}${hint === undefined ? '' : ` (${hint})`}`
  return new SknetError('ERR_SKNET_CHECKPOINT_IO', text, {
    path,
    got: code,
    expected: 'a place that can be written',
    cause,
    ...(hint === undefined ? {} : { hint }),
  })
}

/** Creates `path` with these parts, fsync'd, and returns size and hash of what was written. The file must not exist. */
export async function writeNew(path: string, parts: Iterable<Uint8Array>): Promise<Digest> {
  const file = await open(path, 'wx')
  try {
    const hash = createHash('sha256')
    let size = 0
    for (const part of parts) {
      for (let at = 0; at < part.length; at += PIECE) {
        const piece = part.subarray(at, at + PIECE)
        hash.update(piece)
        await writeAll(file, piece)
        size += piece.length
      }
    }
    await file.sync()
    return { size, sha256: hash.digest('hex') }
  } finally {
    await file.close()
  }
}

/** The same for a file that may exist: readers see the old one or the new one, also after a kill. Throws ERR_SKNET_CHECKPOINT_IO. */
export async function replaceFile(path: string, parts: Iterable<Uint8Array>): Promise<Digest> {
  const temporary = join(dirname(path), temporaryName())
  try {
    const digest = await writeNew(temporary, parts)
    await rename(temporary, path)
    await syncFolder(dirname(path))
    return digest
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw await ioError(path, 'Cannot write', cause)
  }
}

/** Makes renames and removals in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** A name no one else uses; it tells whose it is, so that leftovers of ended processes can be known. */
export function temporaryName(): string {
  return `.tmp-${process.pid}-${randomBytes(4).toString('hex')}`
}

/** Removes what killed processes left in a folder. */
export async function removeStale(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const owner = /^\.tmp-(\d+)-[0-9a-f]{8}$/.exec(name)?.[1]
    if (owner !== undefined && Number(owner) !== process.pid && !isAlive(Number(owner))) {
      await rm(join(folder, name), { recursive: true, force: true })
    }
  }
}

/** All bytes of a file and their hash. The file is read once, so what is hashed is what is used. */
export async function readHashed(path: string): Promise<{ bytes: Uint8Array; digest: Digest }> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const bytes = new Uint8Array(size)
    const hash = createHash('sha256')
    for (let at = 0; at < size; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE)
      if ((await readAll(file, piece, at)) < piece.length) throw new Error(`${path} became shorter while it was read`)
      hash.update(piece)
    }
    return { bytes, digest: { size, sha256: hash.digest('hex') } }
  } finally {
    await file.close()
  }
}

/** Hash of a file without keeping it. */
export async function hashFile(path: string): Promise<Digest> {
  const file = await open(path, 'r')
  try {
    const hash = createHash('sha256')
    const piece = new Uint8Array(PIECE)
    let size = 0
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, PIECE, size)
      if (bytesRead === 0) return { size, sha256: hash.digest('hex') }
      hash.update(piece.subarray(0, bytesRead))
      size += bytesRead
    }
  } finally {
    await file.close()
  }
}

/** Fills `into` from `position`; returns the bytes read, fewer at the end of the file. */
export async function readAll(file: FileHandle, into: Uint8Array, position: number): Promise<number> {
  let done = 0
  while (done < into.length) {
    const { bytesRead } = await file.read(into, done, into.length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0
  while (done < bytes.length) done += (await file.write(bytes, done, bytes.length - done)).bytesWritten
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function freeBytes(folder: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch {
    return null
  }
}
