/** What training and evaluation read: one split of a data set, as plain facts plus a native source opened on demand. */
import { badOption, isObject } from '../check.js'
import { SknetError } from '../errors.js'
import { callNative } from '../native.js'
import type { Loader, Source, SourceOptions, TransformOptions } from '../native.js'

export type Split = 'train' | 'val'

/** Names of the augmentation presets, see presets.ts. */
export type AugmentName = 'paper' | 'senet' | 'light' | 'cifar' | 'none'

export type Interpolation = TransformOptions['interpolation']

/** Red, green, blue on the 0..1 scale. */
export type Triple = [number, number, number]

/** How this data set is usually trained and judged; recipes and options override it. */
export interface DatasetDefaults {
  /** Side of the training crop in pixels. */
  size: number
  mean: Triple
  std: Triple
  augment: AugmentName
  /** Shorter side to `resize` (0: as it is), then a centre crop of `crop` pixels. */
  eval: { resize: number; crop: number; interpolation: Interpolation }
}

export interface Dataset {
  readonly kind: 'cifar10' | 'cifar100' | 'image-folder' | 'shards' | 'parquet' | 'synthetic' | 'arrays' | 'files' | 'custom'
  /** The folder it was read from; '' where there is none. */
  readonly path: string
  readonly split: Split
  readonly classes: number
  /** One name a class, by index. */
  readonly classNames: readonly string[]
  /** Number of images. */
  readonly size: number
  /** Where all images have one size; null where they differ. */
  readonly imageSize: { readonly height: number; readonly width: number } | null
  readonly defaults: DatasetDefaults
  /** What was left out while the folder was read, in words (links leading out of it, say). */
  readonly warnings: readonly string[]
  /** Samples come one after the other only: a bad one is skipped, never replaced. */
  readonly iterated: boolean
  /** Where samples come from JavaScript: answers what a native loader of this data set asks for. openLoader calls it. */
  readonly feed: ((loader: Loader) => void) | null
  /** A copy of all labels, each at least 0 and below `classes`; else ERR_SKNET_DATA. Empty where each sample brings its own. */
  labels(): Int32Array
  /** The native source; made at the first call (CIFAR files are read then) and kept until dispose(). Labels are checked. */
  open(): Source
  /** Lets go of the native source. Loaders already open go on; open() makes it again. */
  dispose(): void
  [Symbol.asyncDispose](): Promise<void>
}

/** Both splits, as the data set functions return them when no split is asked for. */
export interface Splits {
  train: Dataset
  val: Dataset
}

type Facts = Omit<Dataset, 'labels' | 'open' | 'dispose' | 'iterated' | 'feed' | typeof Symbol.asyncDispose>

export interface DatasetExtras {
  /** The native source, where it is there already. */
  opened?: Source
  feed?: (loader: Loader) => void
  iterated?: boolean
  /** false: each sample brings its own label. */
  labelsKnown?: boolean
}

/** A Dataset from its facts; `source` says how to open it and is called when it has to be. */
export function createDataset(facts: Facts, source: () => SourceOptions, extras: DatasetExtras = {}): Dataset {
  const { feed = null, iterated = false, labelsKnown = true } = extras
  let { opened } = extras
  if (opened !== undefined) checkLabels(facts, opened.labels())
  const open = (): Source => {
    if (opened === undefined) {
      opened = callNative((binding) => new binding.Source(source()))
      if (labelsKnown) checkLabels(facts, opened.labels())
    }
    return opened
  }
  const dispose = () => {
    opened = undefined
  }
  return {
    ...facts,
    iterated,
    feed,
    open,
    labels: () => (labelsKnown ? open().labels() : new Int32Array(0)),
    dispose,
    [Symbol.asyncDispose]: () => Promise.resolve(dispose()),
  }
}

/** `value` as a data set, for functions that take one. Throws ERR_SKNET_OPTION. */
export function asDataset(option: string, value: unknown): Dataset {
  if (isObject(value) && typeof value.open === 'function' && typeof value.labels === 'function') return value as unknown as Dataset
  const both = isObject(value) && 'train' in value && 'val' in value
  return badOption(option, value, 'a data set such as cifar10() gives', both ? 'Take one of the two splits: .train or .val' : undefined)
}

function checkLabels({ kind, path, classes }: Facts, labels: Int32Array): void {
  const index = labels.findIndex((label) => label < 0 || label >= classes)
  if (index < 0) return
  const got = labels[index]
  const expected = `a label from 0 to ${classes - 1}`
  const where = path === '' ? kind : path
  throw new SknetError('ERR_SKNET_DATA', `${where}: image ${index} has the label ${got}; expected ${expected}`, {
    got,
    expected,
    ...(path === '' ? {} : { path }),
  })
}

/** Accepts 'test' as another name of 'val', as CIFAR calls it. */
export type SplitName = Split | 'test'

export function toSplit(name: SplitName): Split {
  return name === 'test' ? 'val' : name
}

export const splitNames = ['train', 'val', 'test'] as const

/** Class names where the data has none: '0', '1', ... */
export function numberedClasses(classes: number): string[] {
  return Array.from({ length: classes }, (_, i) => String(i))
}

/** Of the ImageNet training set, as torchvision and timm use it. */
export const imagenetMean: Readonly<Triple> = [0.485, 0.456, 0.406]
export const imagenetStd: Readonly<Triple> = [0.229, 0.224, 0.225]

/** Defaults for photographs of any size: 224, standard augmentation, shorter side 256 and centre crop. */
export function photoDefaults(): DatasetDefaults {
  return {
    size: 224,
    mean: [...imagenetMean],
    std: [...imagenetStd],
    augment: 'paper',
    eval: { resize: 256, crop: 224, interpolation: 'bilinear' },
  }
}

/** Defaults for small images of one size: pad and crop in training, whole images in evaluation. */
export function smallImageDefaults(size: number, mean: Triple, std: Triple): DatasetDefaults {
  return { size, mean, std, augment: 'cifar', eval: { resize: 0, crop: size, interpolation: 'bilinear' } }
}
