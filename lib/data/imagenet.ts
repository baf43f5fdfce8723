/**
 * ImageNet as it is downloaded: a flat folder of validation images whose classes are in a list beside it, and readable names of synsets. Nothing of it
 * comes with this package: what is beside the images is read.
 */
import { readFileSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { isObject } from '../check.js'
import { badData, statPath, unreadable } from './folder.js'
import { synsetsOfMeta } from './imagenet-meta.js'

const synset = /^n\d{8}$/

/** What a class goes by: of a synset with its words only the synset, `n01440764` of `n01440764 tench`. */
export function classId(name: string): string {
  const [first] = name.split(' ', 1)
  return synset.test(first!) ? first! : name
}

/** Names with their words behind, where they are synsets and a list of words is in one of `folders`. */
export function readableNames(names: readonly string[], folders: readonly string[]): string[] {
  if (!names.every((name) => synset.test(name))) return [...names]
  const words = wordsIn(folders)
  return names.map((name) => (words.has(name) ? `${name} ${words.get(name)!}` : name))
}

/** Lists of words as they are found: `n01440764 tench, Tinca tinca` a line (or with a tab), or {"0": ["n01440764", "tench"]}. */
const wordFiles = ['LOC_synset_mapping.txt', 'synset_words.txt', 'imagenet_class_index.json', 'words.txt']

function wordsIn(folders: readonly string[]): Map<string, string> {
  const path = firstFile(folders, wordFiles)
  if (path === null) return new Map()
  if (extname(path) !== '.json') {
    const lines = linesOf(path).map((line) => /^(n\d{8})\s+(.+)$/.exec(line))
    return new Map(lines.flatMap((found) => (found === null ? [] : [[found[1]!, found[2]!.trim()]])))
  }
  let value: unknown
  try {
    value = JSON.parse(textOf(path))
  } catch (cause) {
    throw unreadable(path, cause)
  }
  const pairs = isObject(value) ? Object.values(value) : []
  return new Map(
    pairs.flatMap((pair) => (Array.isArray(pair) && pair.every((part) => typeof part === 'string') ? [[pair[0]!, pair[1]!]] : [])),
  )
}

const idList = 'ILSVRC2012_validation_ground_truth.txt'
const lists = ['LOC_val_solution.csv', 'val.txt', 'imagenet_2012_validation_synset_labels.txt', idList]
/** Where the lists lie, seen from the root of the data set. */
const listFolders = ['.', 'val', '..', 'devkit/data', 'ILSVRC2012_devkit_t12/data', '../ILSVRC2012_devkit_t12/data']

/**
 * The class of each file of a flat validation folder, as an index into `classes` (sorted synsets). The list is the first one that is there of
 * - LOC_val_solution.csv: `ILSVRC2012_val_00000001,n01751748 ...`
 * - val.txt: `ILSVRC2012_val_00000001.JPEG 65`, an index into the sorted synsets, or a synset
 * - imagenet_2012_validation_synset_labels.txt: a synset a line, by sorted files
 * - ILSVRC2012_validation_ground_truth.txt: an ILSVRC2012_ID a line, by sorted files, with the devkit's meta.mat beside it
 * null where there is none. Throws ERR_SKNET_DATA for a list that does not fit the files.
 */
export function validationLabels(root: string, files: readonly string[], classes: readonly string[]): Int32Array | null {
  const folders = listFolders.map((folder) => join(root, folder))
  const path = firstFile(folders, lists)
  if (path === null) return null
  const ids = classes.map(classId)
  const indices = new Map(ids.map((id, index) => [id, index]))
  const labelOf = (line: number, value: string): number => {
    const label = /^\d+$/.test(value) ? Number(value) : indices.get(value)
    if (label !== undefined && label < classes.length) return label
    return badData(path, `'${value.slice(0, 40)}' in line ${line + 1}`, `one of the ${classes.length} classes of train/`)
  }
  const lines = linesOf(path)
  if (basename(path) === 'LOC_val_solution.csv') {
    const rows = lines.slice(1).map((line) => line.split(','))
    return byName(path, files, new Map(rows.map(([name, value], i) => [name!, labelOf(i + 1, (value ?? '').trim().split(' ')[0]!)])))
  }
  if (basename(path) === 'val.txt') {
    const rows = lines.map((line) => line.split(/\s+/))
    return byName(path, files, new Map(rows.map(([name, value], i) => [stem(name!), labelOf(i, value ?? '')])))
  }
  if (lines.length !== files.length) badData(path, `${lines.length} lines`, `${files.length}, one for each image`)
  if (basename(path) !== idList) return Int32Array.from(lines, (line, i) => labelOf(i, line))
  const synsets = synsetsOfMeta(join(path, '..', 'meta.mat'))
  return Int32Array.from(lines, (line, i) => labelOf(i, synsets.get(Number(line)) ?? `ILSVRC2012_ID ${line}`))
}

function byName(path: string, files: readonly string[], labels: Map<string, number>): Int32Array {
  return Int32Array.from(
    files,
    (file) => labels.get(stem(file)) ?? badData(path, `no line for ${basename(file)}`, 'a class for each image'),
  )
}

function stem(file: string): string {
  return basename(file, extname(file))
}

function firstFile(folders: readonly string[], names: readonly string[]): string | null {
  const paths = names.flatMap((name) => folders.map((folder) => join(folder, name)))
  return paths.find((path) => statPath(path)?.isFile() === true) ?? null
}

function linesOf(path: string): string[] {
  return textOf(path)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw unreadable(path, cause)
  }
}
