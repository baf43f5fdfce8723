/** Data sets of one's own: samples by number, or one after the other. */
import { badOption, describe, integer, isObject, knownKeys, list, oneOf, optional, text } from '../check.js'
import type { FedSample } from '../native.js'
import { createDataset, numberedClasses, photoDefaults, smallImageDefaults, splitNames, toSplit } from './dataset.js'
import type { Dataset, SplitName } from './dataset.js'
import { feedLoader, reasonOf } from './feed.js'
import type { SampleReader } from './feed.js'
import { defaultMaxPixels } from './image-folder.js'

/** A JPEG or PNG file, or pixels: RGB, 8 bits, row-major [height, width, 3]. Do not change the bytes after handing them over. */
export type CustomSample = {
  /** Class index; needed where the source has no `labels`. */
  label?: number
  /** For reports of what cannot be read. */
  path?: string
} & ({ image: Uint8Array } | { pixels: Uint8Array; width: number; height: number })

export interface CustomSource {
  /** Number of samples; default: as many as there are labels. One of the two is needed, an epoch has to have an end. */
  size?: number
  /** Class indices. Left out: each sample brings its own. */
  labels?: Int32Array | readonly number[]
  /** Default: of `classNames`, else the greatest label + 1. One of the three is needed. */
  classes?: number
  classNames?: readonly string[]
  /** Default 'train'. */
  split?: SplitName
  /** For messages; default 'custom source'. */
  name?: string
  /** Where all images have one size. */
  imageSize?: { height: number; width: number }
  /** Default 100 million. */
  maxPixels?: number
  /** Calls of `get` under way at a time; default 32. */
  concurrency?: number
  /** Of a source that is iterated: how many samples are held to be shuffled among one another; default 1024. */
  window?: number
  /** Sample `index`, a bare array being a JPEG or PNG file. What it throws makes the sample a bad one. Called in any order, samples more than once. */
  get?(index: number): CustomSample | Uint8Array | Promise<CustomSample | Uint8Array>
  /** All samples, one after the other, the same ones every time it is called: an epoch, or a part of one after a resume, begins anew. */
  [Symbol.asyncIterator]?(): AsyncIterator<CustomSample | Uint8Array>
}

const keys = [
  'size',
  'labels',
  'classes',
  'classNames',
  'split',
  'name',
  'imageSize',
  'maxPixels',
  'concurrency',
  'window',
  'get',
] as const satisfies readonly (keyof CustomSource)[]

/**
 * A data set from the user's own code: with `get`, in any order; else iterated. Samples are asked for as the loader prepares batches, decoded and
 * augmented on native threads. What cannot be read is a bad sample like any other; an iterated source cannot go back for a replacement,
 * so its bad samples are always skipped.
 */
export function customSource(source: CustomSource): Dataset {
  if (typeof source !== 'object' || source === null) badOption('source', source, 'an object with get or [Symbol.asyncIterator]')
  if (isObject(source)) knownKeys('', source, keys)
  const iterated = typeof source.get !== 'function'
  if (iterated && typeof source[Symbol.asyncIterator] !== 'function') {
    badOption('source', describe(source), 'an object with get(index) or [Symbol.asyncIterator]()')
  }
  const labels = optional<Int32Array | null>(source.labels, null, labelsOf)
  const size = sizeOf(source.size, labels)
  const { classes, classNames } = classesOf(source, labels)
  const name = optional(source.name, 'custom source', (value) => text('name', value))
  const maxPixels = optional(source.maxPixels, defaultMaxPixels, (value) => integer('maxPixels', value, { min: 1, max: 2 ** 31 - 1 }))
  const window = optional(source.window, 1024, (value) => integer('window', value, { min: 1, max: 2 ** 24 }))
  const concurrency = optional(source.concurrency, 32, (value) => integer('concurrency', value, { min: 1, max: 4096 }))
  const imageSize = optional<Dataset['imageSize']>(source.imageSize, null, sidesOf)
  const small = imageSize !== null && Math.min(imageSize.height, imageSize.width) <= 64
  const facts = {
    kind: 'custom' as const,
    path: '',
    split: toSplit(optional(source.split, 'train', (value) => oneOf('split', value, splitNames))),
    classes,
    classNames,
    size,
    imageSize,
    defaults: small
      ? smallImageDefaults(Math.min(imageSize.height, imageSize.width), [0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
      : photoDefaults(),
    warnings: [],
  }
  const reader = (): SampleReader => (iterated ? iteratedReader(source, labels, window) : numberedReader(source, labels))
  return createDataset(
    facts,
    () => ({
      kind: 'feed',
      name,
      size,
      classes,
      maxPixels,
      ...(labels === null ? {} : { labels }),
      ...(iterated ? { streamWindow: window } : {}),
    }),
    {
      feed: (loader) => void feedLoader(loader, reader(), iterated ? 1 : concurrency),
      iterated,
      labelsKnown: labels !== null,
    },
  )
}

function numberedReader(source: CustomSource, labels: Int32Array | null): SampleReader {
  return {
    read: async (index) => {
      try {
        return toFed(await source.get!(index), labels?.[index])
      } catch (error) {
        return { fault: reasonOf(error) }
      }
    },
    close: () => undefined,
  }
}

/** Goes on to the sample asked for and keeps those on the way that the same window may still want. */
function iteratedReader(source: CustomSource, labels: Int32Array | null, window: number): SampleReader {
  const iterator = source[Symbol.asyncIterator]!()
  const passed = new Map<number, FedSample>()
  let position = 0
  let fault: string | null = null
  const advance = async (): Promise<FedSample> => {
    const at = position
    try {
      const next = await iterator.next()
      if (next.done === true) fault = `the source ended after ${at} samples`
      else {
        position++
        return toFed(next.value, labels?.[at])
      }
    } catch (error) {
      fault = `the source failed after ${at} samples: ${reasonOf(error)}`
    }
    return { fault: fault }
  }
  return {
    read: async (index) => {
      const begin = index - (index % window)
      for (const at of passed.keys()) if (at < begin) passed.delete(at)
      const kept = passed.get(index)
      passed.delete(index)
      if (kept !== undefined) return kept
      while (fault === null) {
        const at = position
        const sample = await advance()
        if (at === index) return sample
        if (at >= begin && fault === null) passed.set(at, sample)
      }
      return { fault }
    },
    close: () => void Promise.resolve(iterator.return?.()).catch(() => undefined),
  }
}

function toFed(sample: unknown, known: number | undefined): FedSample {
  if (sample instanceof Uint8Array) return withLabel({ data: sample }, known)
  if (typeof sample !== 'object' || sample === null) return { fault: `the source gave ${describe(sample)} instead of an image` }
  const { image, pixels, width, height, label, path } = sample as Record<string, unknown>
  const named = typeof path === 'string' ? { path } : {}
  if (image instanceof Uint8Array) return withLabel({ ...named, data: image }, label ?? known)
  if (!(pixels instanceof Uint8Array)) return { ...named, fault: 'the source gave neither image nor pixels, as a Uint8Array' }
  const side = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= 65535
  if (!side(width) || !side(height) || pixels.length !== width * height * 3) {
    return { ...named, fault: `${pixels.length} bytes are no RGB pixels of ${describe(width)} x ${describe(height)}` }
  }
  return withLabel({ ...named, data: pixels, width, height }, label ?? known)
}

function withLabel(sample: { data: Uint8Array; path?: string; width?: number; height?: number }, label: unknown): FedSample {
  if (Number.isSafeInteger(label) && (label as number) >= 0 && (label as number) < 2 ** 31) return { ...sample, label: label as number }
  return { ...(sample.path === undefined ? {} : { path: sample.path }), fault: `the label is ${describe(label)}; expected a class index` }
}

function labelsOf(value: unknown): Int32Array {
  if (value instanceof Int32Array && value.length > 0) return value.slice()
  if (!Array.isArray(value) || value.length === 0) badOption('labels', value, 'class indices, at least one')
  return Int32Array.from(list('labels', value, (option, item) => integer(option, item, { min: 0, max: 2 ** 31 - 1 })))
}

function sizeOf(value: unknown, labels: Int32Array | null): number {
  if (value === undefined && labels === null) badOption('size', value, 'the number of samples, where there are no labels')
  const size = optional(value, labels?.length ?? 0, (v) => integer('size', v, { min: 1, max: 2 ** 31 - 1 }))
  if (labels !== null && labels.length !== size) badOption('labels', labels, `as many labels as samples, ${size}`)
  return size
}

function classesOf({ classes, classNames }: CustomSource, labels: Int32Array | null): { classes: number; classNames: string[] } {
  const names = classNames === undefined ? undefined : list('classNames', classNames, text)
  const known = names?.length ?? (labels === null ? undefined : labels.reduce((most, label) => Math.max(most, label), 0) + 1)
  if (classes === undefined && known === undefined)
    badOption('classes', classes, 'the number of classes, where there are neither labels nor classNames')
  const count = optional(classes, known ?? 0, (value) => integer('classes', value, { min: 1, max: 2 ** 31 - 1 }))
  if (names !== undefined && names.length !== count) badOption('classNames', classNames, `${count} names, one a class`)
  return { classes: count, classNames: names ?? numberedClasses(count) }
}

function sidesOf(value: unknown): { height: number; width: number } {
  const { height, width } = knownKeys('imageSize', value, ['height', 'width'])
  const side = { min: 1, max: 65535 }
  return { height: integer('imageSize.height', height, side), width: integer('imageSize.width', width, side) }
}
