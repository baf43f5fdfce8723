/** Data sets that lie in a few large files: which of them belong to which split, by folder or by name, as they are found on model hubs. */
import { basename, join } from 'node:path'
import type { Split } from './dataset.js'
import { badData, isFolder, readFolder, statPath } from './folder.js'

const folders: Record<Split, string[]> = { train: ['train', 'training'], val: ['val', 'valid', 'validation', 'test'] }
const words: [pattern: RegExp, split: Split | 'test'][] = [
  [/(^|[^a-z])train(ing)?([^a-z]|$)/i, 'train'],
  [/(^|[^a-z])val(id|idation)?([^a-z]|$)/i, 'val'],
  [/(^|[^a-z])test([^a-z]|$)/i, 'test'],
]

export interface SplitFiles {
  /** Folder they lie in. */
  folder: string
  /** Sorted by name. */
  paths: string[]
}

/**
 * The files ending in `extension` of each split that `path` has: one file serves as both; a folder has them in train/ and val/ (also
 * validation/ or test/), or side by side (also in data/), told apart by train, val, validation or test in their names, or all for both. A test
 * split counts as validation where there is no other. Empty where there are no such files.
 */
export function splitFiles(path: string, extension: string): Partial<Record<Split, SplitFiles>> {
  if (!isFolder(path)) {
    const one = { folder: join(path, '..'), paths: [path] }
    return path.toLowerCase().endsWith(extension) && statPath(path) !== undefined ? { train: one, val: one } : {}
  }
  const found: Partial<Record<Split, SplitFiles>> = {}
  for (const split of ['train', 'val'] as const) {
    const folder = folders[split].map((name) => join(path, name)).find((name) => isFolder(name) && filesIn(name, extension).length > 0)
    if (folder !== undefined) found[split] = { folder, paths: filesIn(folder, extension) }
  }
  // A folder of images may well have the archive that it came from beside it.
  if (Object.keys(found).length > 0 || ['train', 'val'].some((name) => isFolder(join(path, name)))) return found
  const folder = [path, join(path, 'data')].find((name) => isFolder(name) && filesIn(name, extension).length > 0)
  return folder === undefined ? {} : byName(folder, filesIn(folder, extension))
}

/** The files of one split, or an error that says what is there. */
export function filesOfSplit(path: string, extension: string, split: Split): SplitFiles {
  const found = splitFiles(path, extension)
  const files = found[split]
  if (files !== undefined) return files
  const [other] = Object.keys(found)
  return badData(path, other === undefined ? `no ${extension} files` : `${other} data only`, `${extension} files of the ${split} split`)
}

function filesIn(folder: string, extension: string): string[] {
  return readFolder(folder)
    .filter(({ name }) => name.toLowerCase().endsWith(extension) && !name.startsWith('.'))
    .map(({ name }) => join(folder, name))
    .filter((path) => statPath(path)?.isFile() === true)
}

function byName(folder: string, paths: string[]): Partial<Record<Split, SplitFiles>> {
  const kindOf = (path: string) => words.find(([pattern]) => pattern.test(basename(path)))?.[1]
  const named = (kind: Split | 'test') => paths.filter((path) => kindOf(path) === kind)
  const train = named('train')
  const val = named('val').length > 0 ? named('val') : named('test')
  if (train.length === 0 && val.length === 0) return { train: { folder, paths }, val: { folder, paths } }
  return {
    ...(train.length === 0 ? {} : { train: { folder, paths: train } }),
    ...(val.length === 0 ? {} : { val: { folder, paths: val } }),
  }
}
