/** What happens to an image between decoding and the network: augmentation presets for training, one rule for evaluation. */
import { badOption, boolean, integer, number, oneOf } from '../check.js'
import type { Effect, TransformOptions } from '../native.js'
import type { AugmentName, Dataset, Interpolation, Triple } from './dataset.js'

/**
 * paper: random resized crop of 8-100 % of the area, aspect 3/4 to 4/3, and flip (the large networks).
 * senet: paper's, and a rotation of up to 10 degrees and a number of up to 20 added to each channel (the official SKNet's). Corners that
 * the rotation leaves open get the mean colour.
 * light: as paper with 20-100 % (ShuffleNetV2 and other small networks).
 * cifar: pad by an eighth of the size (4 of 32) with the mean colour, random crop, flip.
 * none: as in evaluation.
 */
export const augmentNames = ['paper', 'senet', 'light', 'cifar', 'none'] as const satisfies readonly AugmentName[]

const maxSide = 65535

type Range = [number, number]

export interface TrainTransformOptions {
  /** Default: the data set's. */
  augment?: AugmentName | undefined
  /** Side of the crop in pixels; default: the data set's. */
  size?: number | undefined
  /**
   * Decode JPEGs at 1/2, 1/4 or 1/8 of their size where the crop is still as large as the result: faster for large photographs, pixels a
   * trifle different. Default false.
   */
  dctScale?: boolean | undefined
  /** Brightness, contrast and saturation by factors from 1 - x to 1 + x each, in random order (torchvision's ColorJitter); default 0: none. */
  colorJitter?: number | undefined
  /** torchvision's RandAugment: [effects a picture, magnitude of 0 to 30]; usual are 2 and 9. Default []: none. Comes last. */
  randAugment?: readonly number[] | undefined
}

/** The native transform for training on `dataset`. */
export function trainTransform(dataset: Dataset, options: TrainTransformOptions = {}): TransformOptions {
  const augment = options.augment === undefined ? dataset.defaults.augment : oneOf('data.augment', options.augment, augmentNames)
  const size = options.size === undefined ? dataset.defaults.size : integer('data.size', options.size, { min: 1, max: maxSide })
  const more = moreEffects(dataset, options)
  if (augment === 'none') {
    if (more.length > 0) badOption('data.augment', augment, 'a preset for training: colorJitter or randAugment is asked for as well')
    return evalTransform(dataset, { crop: size })
  }
  const dctScale = options.dctScale === undefined ? false : boolean('data.dctScale', options.dctScale)
  const base = { ...plain(dataset, size), dctScale }
  if (augment === 'cifar') {
    const pad = Math.round(size / 8)
    checkPadCrop(dataset, size, pad)
    return { ...base, geometry: 'pad_crop', pad, flip: 0.5, ...withEffects(more) }
  }
  const cropped = { ...base, geometry: 'random_resized_crop' as const, area: [augment === 'light' ? 0.2 : 0.08, 1] as Range, flip: 0.5 }
  return { ...cropped, ...withEffects([...(augment === 'senet' ? senetEffects(dataset) : []), ...more]) }
}

function withEffects(effects: Effect[]): { effects?: Effect[] } {
  return effects.length === 0 ? {} : { effects }
}

/** What the options ask for beside the preset. */
function moreEffects(dataset: Dataset, { colorJitter = 0, randAugment = [] }: TrainTransformOptions): Effect[] {
  const strength = number('data.colorJitter', colorJitter, { min: 0, max: 1 })
  const effects: Effect[] = []
  if (strength > 0) effects.push({ kind: 'color_jitter', brightness: strength, contrast: strength, saturation: strength, hue: 0 })
  if (!Array.isArray(randAugment) || ![0, 2].includes(randAugment.length)) {
    badOption('data.randAugment', randAugment, '[] or [effects a picture, magnitude]')
  }
  if (randAugment.length === 0) return effects
  const count = integer('data.randAugment[0]', randAugment[0], { min: 1, max: 16 })
  const magnitude = integer('data.randAugment[1]', randAugment[1], { min: 0, max: 30 })
  return [...effects, { kind: 'rand_augment', count, magnitude, interpolation: 'nearest', fill: meanColour(dataset) }]
}

function meanColour(dataset: Dataset): Triple {
  return dataset.defaults.mean.map((mean) => Math.round(mean * 255)) as Triple
}

/** "Mirror, crop, rotation of -10 to 10 degrees, pixel jitter of -20 to 20", as hujie-frank/SENet describes its training; we read jitter as an offset. */
function senetEffects(dataset: Dataset): Effect[] {
  return [
    { kind: 'rotate', range: [-10, 10], interpolation: 'bilinear', fill: meanColour(dataset) },
    { kind: 'offset', range: [-20, 20] },
  ]
}

export interface EvalTransformOptions {
  /** Shorter side after resizing, 0 for none. Default: the data set's at its usual crop, else in the same proportion to `crop`. */
  resize?: number | undefined
  /** Side of the centre crop; default: the data set's. A crop larger than the image is padded with black. */
  crop?: number | undefined
  interpolation?: Interpolation | undefined
}

/** The native transform for evaluation and prediction: resize the shorter side, centre crop, normalise, nothing random. */
export function evalTransform(dataset: Dataset, options: EvalTransformOptions = {}): TransformOptions {
  const usual = dataset.defaults.eval
  const crop = options.crop === undefined ? usual.crop : integer('eval.crop', options.crop, { min: 1, max: maxSide })
  const resize =
    options.resize === undefined ? usualResize(dataset, crop) : integer('eval.resize', options.resize, { min: 0, max: maxSide })
  const interpolation =
    options.interpolation === undefined ? usual.interpolation : oneOf('eval.interpolation', options.interpolation, ['bilinear', 'bicubic'])
  return { ...plain(dataset, crop), geometry: 'resize_crop', resize, interpolation }
}

/** 256 for a crop of 224, in proportion for others; images already of the crop's size stay as they are. */
function usualResize(dataset: Dataset, crop: number): number {
  const usual = dataset.defaults.eval
  if (crop === usual.crop) return usual.resize
  return usual.resize === 0 ? crop : Math.round((crop * usual.resize) / usual.crop)
}

function plain(dataset: Dataset, size: number): TransformOptions {
  const { mean, std } = dataset.defaults
  return {
    height: size,
    width: size,
    geometry: 'resize_crop',
    pad: 0,
    area: [1, 1],
    aspect: [3 / 4, 4 / 3],
    resize: 0,
    interpolation: 'bilinear',
    flip: 0,
    mean: [...mean],
    std: [...std],
  }
}

function checkPadCrop(dataset: Dataset, size: number, pad: number): void {
  const { imageSize } = dataset
  if (imageSize === null) badOption('data.augment', 'cifar', 'a preset for images of different sizes: paper, light or none')
  const least = Math.min(imageSize.height, imageSize.width) + 2 * pad
  if (size > least) {
    badOption(
      'data.size',
      size,
      `at most ${least} with augment 'cifar': images of ${imageSize.width}x${imageSize.height}, padded by ${pad}`,
    )
  }
}
