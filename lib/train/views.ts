/** How a run looks at its data: the transforms of training and validation, and the batches of an epoch. */
import type { Dataset } from '../data/dataset.js'
import { imageBytes } from '../data/image-bytes.js'
import { openLoader, type LoaderSettings } from '../data/loader.js'
import { evalTransform, trainTransform } from '../data/presets.js'
import { resolveDevice } from '../device.js'
import type { Model } from '../model/model.js'
import { defaultPreprocessing, type Preprocessing } from '../model/preprocessing.js'
import type { Loader, TransformOptions } from '../native.js'
import type { TrainOptions } from './option-types.js'
import { sizeOfEpoch } from './resolution.js'

/** Batches that native threads keep ready. */
export const BATCHES_AHEAD = 2

/** What an evaluation reads: everything of `dataset`, in its order. */
export interface EvaluationSetup {
  dataset: Dataset
  batchSize: number
  transform: TransformOptions
  threads: number
  /** Of its batches and the plan that reads them, see image-bytes.ts. */
  imageBytes: number
}

/** Side of the training input: the option, else what suits the data. */
export function trainingSize(options: TrainOptions, train: Dataset): number {
  return options.data.size ?? train.defaults.size
}

/** Throws ERR_SKNET_OPTION where the preset does not fit the images. */
export function trainingView(train: Dataset, options: TrainOptions, size = trainingSize(options, train)): TransformOptions {
  const { augment, dctScale, colorJitter, randAugment } = options.data
  return trainTransform(train, { size, dctScale, colorJitter, randAugment, augment: augment ?? undefined })
}

/** The options of `eval.*`, each the data set's own where it is null. */
export function evaluationView(dataset: Dataset, { resize, crop, interpolation }: TrainOptions['eval']): TransformOptions {
  return evalTransform(dataset, { resize: resize ?? undefined, crop: crop ?? undefined, interpolation: interpolation ?? undefined })
}

/**
 * How a run judges: by `eval.*`, and unless that gives a crop, at the scale it trains at, which is that of `data.size`. (`cifar` crops
 * without scaling, so its images are judged whole.)
 */
export function validationView(dataset: Dataset, { data, eval: judged }: TrainOptions): TransformOptions {
  const scaled = (data.augment ?? dataset.defaults.augment) === 'cifar' ? null : data.size
  return evaluationView(dataset, { ...judged, crop: judged.crop ?? scaled })
}

/**
 * evaluationView for a model that may bring its own way of looking at pictures: one that was trained or loaded with one keeps it, with `options`
 * on top; a fresh one looks as is usual for the data.
 */
export function modelView(model: Model, dataset: Dataset, options: TrainOptions['eval']): TransformOptions {
  const own = model.preprocessing
  if (JSON.stringify(own) === JSON.stringify(defaultPreprocessing(model.spec))) return evaluationView(dataset, options)
  const { mean, std, resize, crop, interpolation } = own
  const defaults = { ...dataset.defaults, mean, std, eval: { resize, crop, interpolation } }
  return evaluationView({ ...dataset, defaults }, options)
}

export function validationSetup(val: Dataset, options: TrainOptions, threads: number): EvaluationSetup {
  const transform = validationView(val, options)
  const batchSize = Math.min(options.shardSize, val.size)
  return { dataset: val, batchSize, transform, threads, imageBytes: imageBytes(transform, resolveDevice(options.device)) }
}

/** Of training batches with images of `size`, and of the plan that reads them. */
export function trainingImageBytes(train: Dataset, options: TrainOptions, size: number): number {
  return imageBytes(trainingView(train, options, size), resolveDevice(options.device))
}

/** The batches of one epoch from number `skip` on; order and augmentation follow from (seed, epoch, sample). */
export function trainingBatches(train: Dataset, options: TrainOptions, threads: number, epoch: number, skip: number): Loader {
  const size = sizeOfEpoch(options.data, trainingSize(options, train), epoch)
  const settings: LoaderSettings = {
    transform: trainingView(train, options, size),
    threads,
    batchSize: options.batchSize,
    seed: options.seed,
    epoch,
    shuffle: true,
    balanced: options.data.balanced,
    mixup: options.data.mixup,
    cutmix: options.data.cutmix,
    dropLast: true,
    skipBatches: skip,
    ahead: BATCHES_AHEAD,
    onBadSample: options.data.onBadSample,
  }
  return openLoader(train, settings, trainingImageBytes(train, options, size))
}

/** What a model has to do with a picture to see it as evaluation does. */
export function preprocessingOf({ resize, height, interpolation, mean, std }: TransformOptions): Preprocessing {
  return { resize, crop: height, interpolation, mean: [...mean], std: [...std] }
}
