/**
 * Tar shards in the WebDataset convention: those that `sknet pack` writes, with an index and a `pack.json` beside them, and those made elsewhere,
 * which are walked over once when they are opened. In a shard, neighbouring files KEY.jpg (.jpeg, .png, .npy) and KEY.cls are a sample.
 */
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { integer, knownKeys, list, oneOf, optional, text } from '../check.js'
import { awaitNative } from '../native.js'
import type { Source, SourceOptions } from '../native.js'
import { createDataset, numberedClasses, photoDefaults, splitNames, toSplit } from './dataset.js'
import type { Dataset, Split, SplitName } from './dataset.js'
import { badData, isFolder, statPath, unreadable } from './folder.js'
import { defaultMaxPixels } from './image-folder.js'
import type { FolderSplits } from './image-folder.js'
import { packManifest, readPackManifest } from './pack-manifest.js'
import type { PackManifest } from './pack-manifest.js'
import { filesOfSplit, splitFiles } from './split-files.js'
import type { SplitFiles } from './split-files.js'

export interface PackedOptions {
  split?: SplitName
  /** Pictures with more pixels than this count as bad, before memory is taken for them; default 100 million. */
  maxPixels?: number
  /** Names of the classes, by index; default: those of pack.json or classnames.txt, else their numbers. */
  classNames?: readonly string[]
}

/** The index of a shard beside it. */
export const indexOf = (tar: string): string => `${tar}.index`

/** Names of the classes, one a line, as some sets of shards have them beside their shards or one folder up. */
const namesFiles = ['classnames.txt', 'classes.txt']

/**
 * Shards from a folder or a single .tar file: one split if asked for, else both (see splitFiles). Samples keep the order of the shards;
 * an epoch shuffles within windows of neighbouring pieces of shards. Indexes are read, or shards walked over, on native threads.
 * Throws ERR_SKNET_DATA naming the file that is missing, damaged or does not fit its index.
 */
export async function packed(path: string, options: PackedOptions & { split: SplitName }): Promise<Dataset>
export async function packed(path: string, options?: PackedOptions & { split?: undefined }): Promise<FolderSplits>
export async function packed(path: string, options?: PackedOptions): Promise<Dataset | FolderSplits> {
  text('path', path)
  const { split, maxPixels, classNames } = knownKeys('', options, ['split', 'maxPixels', 'classNames'])
  const settings = {
    maxPixels: optional(maxPixels, defaultMaxPixels, (value) => integer('maxPixels', value, { min: 1, max: 2 ** 31 - 1 })),
    classNames: optional<string[] | null>(classNames, null, (value) => list('classNames', value, text)),
  }
  const open = (of: Split) => openSplit(filesOfSplit(path, '.tar', of), of, settings)
  if (split !== undefined) return open(toSplit(oneOf('split', split, splitNames)))
  const train = await open('train')
  return { train, val: hasOwnVal(path) ? await open('val') : undefined }
}

/** Whether the validation files are others than the training files. */
function hasOwnVal(path: string): boolean {
  const { train, val } = splitFiles(path, '.tar')
  return val !== undefined && val.paths.join('\n') !== train?.paths.join('\n')
}

interface Settings {
  maxPixels: number
  classNames: string[] | null
}

async function openSplit(files: SplitFiles, split: Split, settings: Settings): Promise<Dataset> {
  const manifest = files.paths.length > 1 || isFolder(files.folder) ? readPackManifest(files.folder) : null
  const warnings: string[] = []
  const tars = manifest === null ? files.paths : listedShards(files, manifest, warnings)
  const indexes = tars.map((tar) => (statPath(indexOf(tar)) === undefined ? '' : indexOf(tar)))
  const options: SourceOptions = { kind: 'shards', tars, indexes, maxPixels: settings.maxPixels }
  const source = await awaitNative((binding) => binding.openSource(options))
  warnings.push(...source.notes())
  if (manifest !== null && tars.length === manifest.shards.length && source.size !== manifest.images) {
    badData(join(files.folder, packManifest), `${manifest.images} images`, `the ${source.size} that the shards hold`)
  }
  const classNames = settings.classNames ?? manifest?.classNames ?? namesBeside(files.folder) ?? numberedClasses(greatest(source) + 1)
  const facts = {
    kind: 'shards' as const,
    path: tars.length === 1 && manifest === null ? tars[0]! : files.folder,
    split,
    classes: classNames.length,
    classNames,
    size: source.size,
    imageSize: manifest?.imageSize ?? null,
    defaults: manifest?.defaults ?? photoDefaults(),
    warnings,
  }
  return createDataset(facts, () => options, { opened: source })
}

/** The shards that pack.json lists, each there and as long as it says. One of them opened by its own name is enough. */
function listedShards({ folder, paths }: SplitFiles, { shards }: PackManifest, warnings: string[]): string[] {
  const single = paths.length === 1 && shards.length > 1
  const listed = shards.filter(({ name }) => !single || name === basename(paths[0]!))
  for (const { name, bytes } of listed) {
    const path = join(folder, name)
    const stat = statPath(path)
    if (stat === undefined) badData(path, 'nothing', `a shard of ${bytes} bytes, which ${packManifest} lists`)
    if (stat.size !== bytes) badData(path, `${stat.size} bytes`, `${bytes}, which ${packManifest} says: it was cut short or replaced`)
    if (statPath(indexOf(path)) === undefined) warnings.push(`${path}: its index is not there; the shard is read without checksums`)
  }
  for (const path of paths) {
    if (!shards.some(({ name }) => name === basename(path))) warnings.push(`${path}: left out, ${packManifest} does not list it`)
  }
  return listed.map(({ name }) => join(folder, name))
}

function namesBeside(folder: string): string[] | null {
  const path = [folder, join(folder, '..')]
    .flatMap((at) => namesFiles.map((name) => join(at, name)))
    .find((file) => statPath(file)?.isFile())
  if (path === undefined) return null
  try {
    const lines = readFileSync(path, 'utf8').split('\n')
    return lines.map((line) => line.trim()).filter((line) => line !== '')
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

function greatest(source: Source): number {
  return source.labels().reduce((most, label) => Math.max(most, label), 0)
}
