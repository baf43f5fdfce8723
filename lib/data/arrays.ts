/** Data sets from what is in memory already, or from a list of files. */
import { badOption, describe, integer, knownKeys, list, oneOf, optional, text } from '../check.js'
import { createDataset, numberedClasses, photoDefaults, smallImageDefaults, splitNames, toSplit } from './dataset.js'
import type { Dataset, SplitName } from './dataset.js'
import { defaultMaxPixels } from './image-folder.js'

export interface ArraysOptions {
  /** RGB, 8 bits, row-major [labels.length, height, width, 3]; copied when the data set is opened. */
  images: Uint8Array
  /** One class index an image. */
  labels: Int32Array | readonly number[]
  height: number
  width: number
  /** Default: the greatest label + 1. */
  classes?: number
  classNames?: readonly string[]
  /** Default 'train'. */
  split?: SplitName
}

/** Images of one size from memory. Labels beyond `classes` throw ERR_SKNET_DATA when it is opened. */
export function fromArrays(options: ArraysOptions): Dataset {
  const given = knownKeys('', options, ['images', 'labels', 'height', 'width', 'classes', 'classNames', 'split'])
  const side = { min: 1, max: 65535 }
  const height = integer('height', given.height, side)
  const width = integer('width', given.width, side)
  const labels = labelArray(given.labels)
  const images = given.images
  const bytes = labels.length * height * width * 3
  if (!(images instanceof Uint8Array)) badOption('images', images, 'a Uint8Array')
  if (images.length !== bytes) {
    badOption('images', images, `labels.length x height x width x 3 = ${bytes} bytes`)
  }
  const { classes, classNames } = classesOf(given, labels)
  const facts = {
    kind: 'arrays' as const,
    path: '',
    split: toSplit(optional(given.split, 'train', (value) => oneOf('split', value, splitNames))),
    classes,
    classNames,
    size: labels.length,
    imageSize: { height, width },
    defaults: smallImageDefaults(Math.min(height, width), [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]),
    warnings: [],
  }
  return createDataset(facts, () => ({ kind: 'memory', images, labels, height, width }))
}

export interface FilesOptions {
  /** One class index a file; default all 0. */
  labels?: Int32Array | readonly number[]
  classes?: number
  classNames?: readonly string[]
  /** Default 100 million. */
  maxPixels?: number
  /** Default 'val'. */
  split?: SplitName
}

/** JPEG and PNG files by path, in the order given. Files are opened when they are decoded; one written after this call is a bad sample. */
export function fromFiles(paths: readonly string[], options?: FilesOptions): Dataset {
  const files = list('paths', paths, text)
  const listedAt = Date.now()
  const given = knownKeys('', options, ['labels', 'classes', 'classNames', 'maxPixels', 'split'])
  const labels = optional(given.labels, new Int32Array(files.length), labelArray)
  if (labels.length !== files.length) badOption('labels', given.labels, `as many labels as paths, ${files.length}`)
  const maxPixels = optional(given.maxPixels, defaultMaxPixels, (value) => integer('maxPixels', value, { min: 1, max: 2 ** 31 - 1 }))
  const { classes, classNames } = classesOf(given, labels)
  const facts = {
    kind: 'files' as const,
    path: '',
    split: toSplit(optional(given.split, 'val', (value) => oneOf('split', value, splitNames))),
    classes,
    classNames,
    size: files.length,
    imageSize: null,
    defaults: photoDefaults(),
    warnings: [],
  }
  return createDataset(facts, () => ({ kind: 'files', paths: files, labels, maxPixels, listedAt }))
}

function labelArray(value: unknown): Int32Array {
  if (value instanceof Int32Array && value.length > 0) return value.slice()
  if (!Array.isArray(value) || value.length === 0) badOption('labels', value, 'class indices, at least one')
  return Int32Array.from(list('labels', value, (option, item) => integer(option, item, { min: 0, max: 2 ** 31 - 1 })))
}

function classesOf(given: { classes?: unknown; classNames?: unknown }, labels: Int32Array): { classes: number; classNames: string[] } {
  const names = given.classNames === undefined ? undefined : list('classNames', given.classNames, text)
  const fallback = names?.length ?? labels.reduce((most, label) => Math.max(most, label), 0) + 1
  const classes = optional(given.classes, fallback, (value) => integer('classes', value))
  if (names !== undefined && names.length !== classes) {
    badOption('classNames', given.classNames, `${classes} names, one a class, not ${describe(names.length)}`)
  }
  return { classes, classNames: names ?? numberedClasses(classes) }
}
