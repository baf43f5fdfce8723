/** Reading folders: names in a fixed order, and every failure as ERR_SKNET_DATA with its path. */
import { readdirSync, statSync } from 'node:fs'
import type { Dirent, Stats } from 'node:fs'
import { SknetError } from '../errors.js'

/** Throws ERR_SKNET_DATA: `<path>: found <got>; expected <expected>`. */
export function badData(path: string, got: string, expected: string, hint?: string): never {
  const message = `${path}: found ${got}; expected ${expected}${hint === undefined ? '' : `. ${hint}`}`
  throw new SknetError('ERR_SKNET_DATA', message, { path, got, expected, ...(hint === undefined ? {} : { hint }) })
}

/** What is at `path`, links followed; undefined when nothing is, when a part of the path is a file, or links go round in circles. */
export function statPath(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ENOTDIR' || cause.code === 'ELOOP')) return undefined
    throw unreadable(path, cause)
  }
}

export function isFolder(path: string): boolean {
  return statPath(path)?.isDirectory() === true
}

/** The entries of a folder sorted by name; a missing path or a file is an error that says so. */
export function readFolder(path: string, expected = 'a folder'): Dirent[] {
  const stat = statPath(path)
  if (stat === undefined) badData(path, 'nothing', expected)
  if (!stat.isDirectory()) badData(path, 'a file', expected)
  try {
    return readdirSync(path, { withFileTypes: true }).sort((a, b) => compareNames(a.name, b.name))
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

/** By UTF-16 code unit, in every locale the same. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

export function unreadable(path: string, cause: unknown): SknetError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new SknetError('ERR_SKNET_DATA', `${path}: cannot be read: ${reason}`, { path, got: reason, expected: 'readable data', cause })
}
