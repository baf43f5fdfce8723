/** Batches of a data set, prepared ahead by native threads. */
import { availableParallelism } from 'node:os'
import { badOption, boolean, integer, isObject, knownKeys, number, oneOf, optional } from '../check.js'
import { awaitNative, callNative } from '../native.js'
import type { BadSample, Loader, TransformOptions } from '../native.js'
import { asDataset } from './dataset.js'
import type { AugmentName, Dataset, Interpolation } from './dataset.js'
import { augmentNames, evalTransform, trainTransform } from './presets.js'

export interface LoaderSettings {
  /** Images a batch. */
  batchSize: number
  /** Which epoch's order, crops and flips; default 0. */
  epoch?: number
  /** Default 0. The same (seed, epoch) gives the same batches, byte for byte, with any number of threads. */
  seed?: number
  /** Preparing threads; default: all that this process may use. */
  threads?: number
  /** Batches prepared ahead; default 2. */
  ahead?: number
  /** Default: true for a training split. */
  shuffle?: boolean
  /** Every class as often as every other, rare ones repeated with other crops and flips; needs shuffle. Default false. */
  balanced?: boolean
  /** Leave out an incomplete last batch; default: true for a training split. */
  dropLast?: boolean
  /**
   * Which of `world` ranks this is, from 0. A batch is a list of shards of `shardSize` images (default: the batch); rank r prepares shards
   * floor(r * shards / world) up to floor((r + 1) * shards / world) of every batch, so the ranks' parts in order are the batch of a world of one. Of
   * an incomplete last batch a rank may get less, or nothing. Default: rank 0 of 1.
   */
  rank?: number
  world?: number
  shardSize?: number
  /** Batches to leave out at the start, to go on within an epoch; default 0. */
  skipBatches?: number
  /** Default: the data set's preset for a training split, 'none' otherwise. */
  augment?: AugmentName
  /** Side of the training crop, or of the centre crop where nothing is augmented; default: the data set's. */
  size?: number
  /** Shorter side before the centre crop, where nothing is augmented; default: see evalTransform. */
  resize?: number
  interpolation?: Interpolation
  /**
   * Strength of mixup and of cutmix, 0: off (default). The images 0 and 1 of a batch are mixed with each other, 2 and 3, and so on, each pair
   * by a share drawn from Beta(strength, strength); with both strengths a pair gets one of the two, either as likely. An image at the end that
   * has no partner and a skipped one stay as they are, and so do their partners.
   */
  mixup?: number
  cutmix?: number
  /** A bad image is replaced by another (default), or skipped: label -1 and zeros. Either way it is in the batch's `bad`. */
  onBadSample?: 'replace' | 'skip'
  /** The whole transform at once, instead of augment, size, resize and interpolation. */
  transform?: TransformOptions
}

export interface LoaderBatch {
  /** NHWC float32, normalised. */
  images: Float32Array
  labels: Int32Array
  /** With mixup or cutmix: the label of the image that each was mixed with, and the share that is its own. */
  labels2?: Int32Array
  mix?: Float32Array
  /** Places in the data set; of a replaced image, its replacement's. */
  indices: Int32Array
  /** Images of this batch that did not decode. */
  bad: BadSample[]
  shape: [n: number, h: number, w: number, c: 3]
}

const settingNames = [
  'batchSize',
  'epoch',
  'seed',
  'threads',
  'ahead',
  'shuffle',
  'balanced',
  'rank',
  'world',
  'shardSize',
  'dropLast',
  'skipBatches',
  'augment',
  'size',
  'resize',
  'interpolation',
  'mixup',
  'cutmix',
  'onBadSample',
  'transform',
] as const satisfies readonly (keyof LoaderSettings)[]

/**
 * One epoch of `dataset` as an async iterable. Each iteration starts the epoch anew with its own threads, which end with it: at the last
 * batch, at break, return or throw. Options are checked here; data errors come from the iteration.
 */
export function loader(dataset: Dataset, settings: LoaderSettings): AsyncIterable<LoaderBatch> {
  asDataset('dataset', dataset)
  const { transform } = resolve(dataset, settings)
  return {
    async *[Symbol.asyncIterator]() {
      const native = openLoader(dataset, settings)
      try {
        for (;;) {
          const batch = await awaitNative(native.next())
          if (batch === null) return
          yield { ...batch, shape: [batch.labels.length, transform.height, transform.width, 3] }
        }
      } finally {
        native.dispose()
      }
    },
  }
}

/**
 * The native loader of one epoch, for who drives it himself (Plan.trainSteps, Plan.evaluate). Threads start now; dispose() ends them.
 * @param imageBytes as in the native LoaderOptions: what image-bytes.ts says for the device that the batches are for
 */
export function openLoader(dataset: Dataset, settings: LoaderSettings, imageBytes = 0): Loader {
  const options = { ...resolve(dataset, settings), imageBytes }
  const source = dataset.open()
  const native = callNative((binding) => new binding.Loader(source, options))
  dataset.feed?.(native)
  return native
}

function resolve(dataset: Dataset, settings: LoaderSettings) {
  const given = knownKeys('', settings, settingNames)
  const training = dataset.split === 'train'
  const int = (name: (typeof settingNames)[number], fallback: number, min: number, max: number) =>
    optional(given[name], fallback, (value) => integer(name, value, { min, max }))
  const batchSize = integer('batchSize', given.batchSize, { min: 1, max: 2 ** 20 })
  const shuffle = optional(given.shuffle, training, (value) => boolean('shuffle', value))
  const balanced = optional(given.balanced, false, (value) => boolean('balanced', value))
  if (balanced && !shuffle) badOption('balanced', true, 'false where shuffle is false')
  if (balanced && (dataset.iterated || dataset.labels().length === 0)) {
    badOption('balanced', true, 'false: this data set does not know its labels, or has its samples one after the other only')
  }
  const onBadSample = optional(given.onBadSample, 'replace' as const, (value) => oneOf('onBadSample', value, ['replace', 'skip']))
  const strength = (name: 'mixup' | 'cutmix') => optional(given[name], 0, (value) => number(name, value, { min: 0, max: 1e3 }))
  const [mixup, cutmix] = [strength('mixup'), strength('cutmix')]
  const shardSize = int('shardSize', batchSize, 1, batchSize)
  const world = int('world', 1, 1, 2 ** 20)
  if (mixup + cutmix > 0 && world > 1 && shardSize % 2 !== 0)
    badOption('shardSize', shardSize, 'an even number, as images are mixed in pairs')
  return {
    batchSize,
    balanced,
    mixup,
    cutmix,
    slice: rankSlice(batchSize, shardSize, int('rank', 0, 0, 2 ** 20), world),
    epoch: int('epoch', 0, 0, 2 ** 32 - 1),
    seed: int('seed', 0, 0, Number.MAX_SAFE_INTEGER),
    threads: int('threads', availableParallelism(), 1, 1024),
    ahead: int('ahead', 2, 1, 1024),
    shuffle,
    dropLast: optional(given.dropLast, training, (value) => boolean('dropLast', value)),
    skipBatches: int('skipBatches', 0, 0, 2 ** 31 - 1),
    onBadSample: dataset.iterated ? ('skip' as const) : onBadSample,
    transform: resolveTransform(dataset, settings, training),
  }
}

/** Places of a batch that a rank prepares: whole shards, in the order of the ranks. */
export function rankSlice(batchSize: number, shardSize: number, rank: number, world: number): [begin: number, end: number] {
  if (rank >= world) badOption('rank', rank, `a rank below the world of ${world}`)
  if (batchSize % shardSize !== 0) badOption('shardSize', shardSize, `a divisor of the batch size ${batchSize}`)
  const shards = batchSize / shardSize
  if (world > shards) badOption('world', world, `at most ${shards}, one shard of ${shardSize} images a rank`)
  return [Math.floor((rank * shards) / world) * shardSize, Math.floor(((rank + 1) * shards) / world) * shardSize]
}

function resolveTransform(dataset: Dataset, settings: LoaderSettings, training: boolean): TransformOptions {
  const { transform, size, resize, interpolation } = settings
  if (transform !== undefined) {
    if (!isObject(transform)) badOption('transform', transform, 'an object, as trainTransform and evalTransform return')
    for (const name of ['augment', 'size', 'resize', 'interpolation'] as const) {
      if (settings[name] !== undefined) badOption(name, settings[name], 'nothing beside transform, which says it all')
    }
    return transform
  }
  const fallback = training ? dataset.defaults.augment : 'none'
  const augment = optional(settings.augment, fallback, (value) => oneOf('augment', value, augmentNames))
  if (augment === 'none') return evalTransform(dataset, { crop: size, resize, interpolation })
  if (resize !== undefined) badOption('resize', resize, `nothing: augment '${augment}' chooses crops at random`)
  const result = trainTransform(dataset, { augment, size })
  if (interpolation === undefined) return result
  return { ...result, interpolation: oneOf('interpolation', interpolation, ['bilinear', 'bicubic']) }
}
