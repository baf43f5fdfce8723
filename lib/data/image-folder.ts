/**
 * ImageFolder: a folder a class, JPEG and PNG files in it (at any depth). The root holds `train/` and `val/`, or the class folders
 * themselves, one of which may well be called `train` (a vehicle): beside other classes, what holds images and no folders is one. Classes are the
 * sorted folder names (synsets of ImageNet with their words behind, where a list is beside them), files are sorted by path; names starting with a dot are ignored, as are other files.
 */
import { realpathSync } from 'node:fs'
import type { Dirent } from 'node:fs'
import { join, sep } from 'node:path'
import { boolean, integer, knownKeys, list, oneOf, optional, text } from '../check.js'
import { createDataset, photoDefaults, splitNames, toSplit } from './dataset.js'
import type { Dataset, Split, SplitName } from './dataset.js'
import { badData, compareNames, isFolder, readFolder, statPath } from './folder.js'
import { classId, readableNames, validationLabels } from './imagenet.js'

export const defaultMaxPixels = 100_000_000

const imageName = /\.(jpe?g|png)$/i
const imageNames = '.jpg, .jpeg or .png'

export interface ImageFolderOptions {
  split?: SplitName
  /** Images with more pixels than this count as bad, before memory is taken for them; default 100 million. */
  maxPixels?: number
  /** Follow symbolic links that lead out of the root; default false: they are left out, with a warning. */
  followSymlinks?: boolean
  /** Class indices are places in this list, such as a model's `classNames`; default: the sorted folder names of train/, or of the root. */
  classNames?: readonly string[]
}

/** One folder without train/ and val/ has no validation split of its own. */
export interface FolderSplits {
  train: Dataset
  val: Dataset | undefined
}

/**
 * One split if asked for, else both. A root without train/ and val/ serves as whichever split is asked for. Class indices are those of
 * train/, for val/ too. Throws ERR_SKNET_DATA for a missing or empty folder and for a class folder without images. Reads names only.
 */
export function imageFolder(dir: string, options: ImageFolderOptions & { split: SplitName }): Dataset
export function imageFolder(dir: string, options?: ImageFolderOptions & { split?: undefined }): FolderSplits
export function imageFolder(dir: string, options?: ImageFolderOptions): Dataset | FolderSplits {
  text('dir', dir)
  const { split, maxPixels, followSymlinks, classNames } = knownKeys('', options, ['split', 'maxPixels', 'followSymlinks', 'classNames'])
  const settings = {
    maxPixels: optional(maxPixels, defaultMaxPixels, (value) => integer('maxPixels', value, { min: 1, max: 2 ** 31 - 1 })),
    followSymlinks: optional(followSymlinks, false, (value) => boolean('followSymlinks', value)),
    classNames: optional<string[] | null>(classNames, null, (value) => list('classNames', value, text)),
  }
  if (split !== undefined) return openSplit(dir, toSplit(oneOf('split', split, splitNames)), settings)
  const train = openSplit(dir, 'train', settings)
  return { train, val: splitFolders(dir).includes('val') ? openSplit(dir, 'val', settings) : undefined }
}

/** The splits a root has folders for; both for a root that holds the classes themselves. */
export function folderSplits(dir: string): Split[] {
  const found = splitFolders(dir)
  return found.length === 0 ? ['train', 'val'] : found
}

/** Which of train/ and val/ are splits; none where the one that is there is a class among others. */
function splitFolders(dir: string): Split[] {
  const found = (['train', 'val'] as const).filter((split) => isFolder(join(dir, split)))
  const [only] = found
  if (found.length !== 1 || only === undefined || !holdsImagesOnly(join(dir, only))) return found
  const others = readFolder(dir).filter(({ name }) => name !== only && !name.startsWith('.'))
  return others.some(({ name }) => isFolder(join(dir, name))) ? [] : found
}

function holdsImagesOnly(folder: string): boolean {
  const entries = readFolder(folder).filter((entry) => !entry.name.startsWith('.'))
  return entries.some((entry) => imageName.test(entry.name)) && !entries.some((entry) => isFolder(join(folder, entry.name)))
}

interface Settings {
  maxPixels: number
  followSymlinks: boolean
  classNames: string[] | null
}

function openSplit(dir: string, split: Split, settings: Settings): Dataset {
  const listedAt = Date.now()
  const flat = split === 'val' ? flatValidation(dir, settings) : null
  if (flat !== null) return filesDataset(flat, { split, listedAt, maxPixels: settings.maxPixels, warnings: [] })
  const root = splitRoot(dir, split)
  const warnings: string[] = []
  const folders = classFolders(root, settings, warnings)
  const fromTrain = split === 'val' && splitFolders(dir).includes('train')
  const names = settings.classNames ?? (fromTrain ? classFolders(join(dir, 'train'), settings, []) : folders)
  const classNames = settings.classNames ?? readableNames(names, [dir, join(dir, '..')])
  const ids = classNames.map(classId)
  const where = settings.classNames === null ? 'train/' : 'the list'
  const paths: string[] = []
  const labels: number[] = []
  for (const name of folders) {
    const label = ids.indexOf(classId(name))
    if (label < 0) badData(join(root, name), `a class that ${where} does not have`, `one of the ${classNames.length} classes of ${where}`)
    for (const path of classFiles(root, name, settings, warnings)) {
      paths.push(path)
      labels.push(label)
    }
  }
  const labelled = { root, paths, labels: Int32Array.from(labels), classNames }
  return filesDataset(labelled, { split, listedAt, maxPixels: settings.maxPixels, warnings })
}

interface LabelledFiles {
  root: string
  paths: string[]
  labels: Int32Array
  classNames: string[]
}

function filesDataset(
  { root, paths, labels, classNames }: LabelledFiles,
  { split, listedAt, maxPixels, warnings }: { split: Split; listedAt: number; maxPixels: number; warnings: string[] },
): Dataset {
  const facts = {
    kind: 'image-folder' as const,
    path: root,
    split,
    classes: classNames.length,
    classNames,
    size: paths.length,
    imageSize: null,
    defaults: photoDefaults(),
    warnings,
  }
  return createDataset(facts, () => ({ kind: 'files', paths, labels, maxPixels, listedAt }))
}

/** ImageNet's validation images as they are downloaded: one folder, their classes in a list beside it. null for everything else. */
function flatValidation(dir: string, settings: Settings): LabelledFiles | null {
  const root = join(dir, 'val')
  const found = splitFolders(dir)
  if (!found.includes('val') || !found.includes('train') || !holdsImagesOnly(root)) return null
  const names = settings.classNames ?? readableNames(classFolders(join(dir, 'train'), settings, []), [dir, join(dir, '..')])
  const files = readFolder(root).filter((entry) => imageName.test(entry.name) && resolveEntry(root, root, entry, settings, []) === 'file')
  const paths = files.map(({ name }) => join(root, name))
  const labels = validationLabels(dir, paths, names)
  return labels === null ? null : { root, paths, labels, classNames: names }
}

function splitRoot(dir: string, split: Split): string {
  const found = splitFolders(dir)
  if (found.includes(split)) return join(dir, split)
  if (found.length > 0) badData(dir, `${found[0]!}/ only`, `a folder ${split}/ with a folder a class`)
  return dir
}

function classFolders(root: string, settings: Settings, warnings: string[]): string[] {
  const expected = 'a folder with a folder a class'
  const names = readFolder(root, expected)
    .filter((entry) => resolveEntry(root, root, entry, settings, warnings) === 'folder')
    .map((entry) => entry.name)
  if (names.length === 0) badData(root, 'no class folders', `${expected}, JPEG or PNG images in each`, warnings[0])
  return names
}

/** All image files below a class folder, sorted by folder, then by name. */
function classFiles(root: string, name: string, settings: Settings, warnings: string[]): string[] {
  const top = join(root, name)
  const found: { folder: string; files: string[] }[] = []
  const visited = new Set<string>()
  let others = 0
  const pending = [top]
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    // A link may lead back to a folder above it.
    const real = realpathSync(folder)
    if (visited.has(real)) continue
    visited.add(real)
    const files: string[] = []
    for (const entry of readFolder(folder)) {
      const kind = resolveEntry(root, folder, entry, settings, warnings)
      const path = join(folder, entry.name)
      if (kind === 'folder') pending.push(path)
      else if (kind === 'file' && imageName.test(entry.name)) files.push(path)
      else others++
    }
    found.push({ folder, files })
  }
  const files = found.sort((a, b) => compareNames(a.folder, b.folder)).flatMap((f) => f.files)
  if (files.length === 0) badData(top, others === 0 ? 'an empty folder' : 'no images', `at least one image ending in ${imageNames}`)
  return files
}

/** What an entry is, its links resolved; null for what is to be left out. */
function resolveEntry(root: string, folder: string, entry: Dirent, settings: Settings, warnings: string[]): 'file' | 'folder' | null {
  if (entry.name.startsWith('.')) return null
  if (entry.isDirectory()) return 'folder'
  if (entry.isFile()) return 'file'
  const path = join(folder, entry.name)
  const stat = statPath(path)
  if (stat === undefined) warnings.push(`${path}: left out, a link that leads nowhere`)
  else if (!stat.isFile() && !stat.isDirectory()) warnings.push(`${path}: left out, neither a file nor a folder`)
  else if (!settings.followSymlinks && !isInside(root, path)) warnings.push(`${path}: left out, a link that leads out of ${root}`)
  else return stat.isFile() ? 'file' : 'folder'
  return null
}

function isInside(root: string, path: string): boolean {
  return realpathSync(path).startsWith(realpathSync(root) + sep)
}
