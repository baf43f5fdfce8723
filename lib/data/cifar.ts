/**
 * CIFAR-10 and CIFAR-100 in their binary form (A. Krizhevsky, 2009): records of label bytes and 32 x 32 pixels.
 * Any subset of data_batch_*.bin or train.bin is the training split, test_batch.bin or test.bin the validation split; each file holds
 * a whole number of records. Files directly in the folder, found by name.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { knownKeys, oneOf, optional, text } from '../check.js'
import { createDataset, numberedClasses, smallImageDefaults, splitNames, toSplit } from './dataset.js'
import type { Dataset, DatasetDefaults, Split, SplitName, Splits } from './dataset.js'
import { badData, compareNames, readFolder, statPath, unreadable } from './folder.js'

const pixelBytes = 3 * 32 * 32

const splitFiles: Record<Split, { pattern: RegExp; names: string }> = {
  train: { pattern: /^(data_batch_.+|train)\.bin$/, names: 'data_batch_*.bin or train.bin' },
  val: { pattern: /^(test_batch|test)\.bin$/, names: 'test_batch.bin or test.bin' },
}

interface Format {
  kind: 'cifar10' | 'cifar100'
  classes: number
  labelBytes: 1 | 2
  labelByte: 0 | 1
  /** File with one class name a line; optional in the folder. */
  namesFile: string
  defaults(): DatasetDefaults
}

const formats = {
  cifar10: {
    kind: 'cifar10',
    classes: 10,
    labelBytes: 1,
    labelByte: 0,
    namesFile: 'batches.meta.txt',
    defaults: () => smallImageDefaults(32, [0.4914, 0.4822, 0.4465], [0.247, 0.2435, 0.2616]),
  },
  fine: {
    kind: 'cifar100',
    classes: 100,
    labelBytes: 2,
    labelByte: 1,
    namesFile: 'fine_label_names.txt',
    defaults: () => smallImageDefaults(32, [0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
  },
  coarse: {
    kind: 'cifar100',
    classes: 20,
    labelBytes: 2,
    labelByte: 0,
    namesFile: 'coarse_label_names.txt',
    defaults: () => smallImageDefaults(32, [0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
  },
} satisfies Record<string, Format>

export interface Cifar10Options {
  split?: SplitName
}

export interface Cifar100Options extends Cifar10Options {
  /** 100 fine classes (default) or the 20 coarse ones. */
  labels?: 'fine' | 'coarse'
}

/** CIFAR-10 from a folder: one split if asked for, else both. Throws ERR_SKNET_DATA for missing files and wrong sizes, before reading. */
export function cifar10(dir: string, options: Cifar10Options & { split: SplitName }): Dataset
export function cifar10(dir: string, options?: Cifar10Options & { split?: undefined }): Splits
export function cifar10(dir: string, options?: Cifar10Options): Dataset | Splits {
  const { split } = knownKeys('', options, ['split'])
  return open(dir, formats.cifar10, split)
}

/** CIFAR-100 from a folder, see cifar10. */
export function cifar100(dir: string, options: Cifar100Options & { split: SplitName }): Dataset
export function cifar100(dir: string, options?: Cifar100Options & { split?: undefined }): Splits
export function cifar100(dir: string, options?: Cifar100Options): Dataset | Splits {
  const { split, labels } = knownKeys('', options, ['split', 'labels'])
  const kind = optional(labels, 'fine', (value) => oneOf('labels', value, ['fine', 'coarse']))
  return open(dir, formats[kind], split)
}

/**
 * Which CIFAR a folder holds: by the names of its files, and where a file's size fits only the other set's records, by that. null where
 * there are no such files.
 */
export function detectCifar(dir: string): { kind: Format['kind']; splits: Split[] } | null {
  const names = readFolder(dir).map((entry) => entry.name)
  const splits = (['train', 'val'] as const).filter((split) => names.some((name) => splitFiles[split].pattern.test(name)))
  if (splits.length === 0) return null
  const files = names.filter((name) => splits.some((split) => splitFiles[split].pattern.test(name)))
  const named = files.some((name) => name.includes('batch')) ? formats.cifar10 : formats.fine
  const other = named === formats.cifar10 ? formats.fine : formats.cifar10
  const sizes = files.map((name) => statPath(join(dir, name))?.size ?? 0)
  const fits = (format: Format) => sizes.every((size) => size % (format.labelBytes + pixelBytes) === 0)
  return { kind: !fits(named) && fits(other) ? other.kind : named.kind, splits }
}

function open(dir: string, format: Format, split: unknown): Dataset | Splits {
  text('dir', dir)
  if (split !== undefined) return openSplit(dir, format, toSplit(oneOf('split', split, splitNames)))
  return { train: openSplit(dir, format, 'train'), val: openSplit(dir, format, 'val') }
}

function openSplit(dir: string, format: Format, split: Split): Dataset {
  const { pattern, names } = splitFiles[split]
  const files = readFolder(dir)
    .map((entry) => entry.name)
    .filter((name) => pattern.test(name))
    .sort(byNumber)
    .map((name) => join(dir, name))
  if (files.length === 0) badData(dir, 'no such file', `${names} of ${format.kind}`)
  const size = files.reduce((sum, file) => sum + countRecords(file, format), 0)
  const { kind, classes, labelBytes, labelByte } = format
  const facts = {
    kind,
    path: dir,
    split,
    classes,
    classNames: readClassNames(dir, format),
    size,
    imageSize: { height: 32, width: 32 },
    defaults: format.defaults(),
    warnings: [],
  }
  return createDataset(facts, () => ({ kind: 'cifar', files, labelBytes, labelByte }))
}

function countRecords(file: string, format: Format): number {
  const recordBytes = format.labelBytes + pixelBytes
  const stat = statPath(file)
  if (stat === undefined || !stat.isFile()) badData(file, 'no regular file', `a file of ${format.kind} records`)
  if (stat.size === 0 || stat.size % recordBytes !== 0) {
    badData(file, `${stat.size} bytes`, `a whole number of ${format.kind} records of ${recordBytes} bytes`)
  }
  return stat.size / recordBytes
}

/** data_batch_10.bin after data_batch_9.bin. */
function byNumber(a: string, b: string): number {
  const number = (name: string) => Number(/\d+/.exec(name)?.[0] ?? 0)
  return number(a) - number(b) || compareNames(a, b)
}

function readClassNames(dir: string, { namesFile, classes }: Format): string[] {
  const path = join(dir, namesFile)
  if (statPath(path) === undefined) return numberedClasses(classes)
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (cause) {
    throw unreadable(path, cause)
  }
  const names = content.split('\n').map((line) => line.trim())
  const filled = names.filter((name) => name !== '')
  if (filled.length !== classes) badData(path, `${filled.length} class names`, `${classes}, one a line`)
  return filled
}
