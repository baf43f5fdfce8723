/** A batch that the caller brings to Trainer.step, checked. */
import { badOption, knownKeys } from '../check.js'
import { SknetError } from '../errors.js'
import type { Model } from '../model/model.js'

/** A batch of the caller's own, or one that loader() gave. */
export interface StepBatch {
  /** NHWC, already normalised: batchSize x size x size x 3. */
  images: Float32Array
  labels: Int32Array | readonly number[]
  /** Of mixed images, both or neither: each one's second label, and the share of the target, 0 to 1, that is the first one's. */
  labels2?: Int32Array | readonly number[]
  mix?: Float32Array | readonly number[]
}

interface CheckedBatch {
  images: Float32Array
  labels: Int32Array
  labels2?: Int32Array
  mix?: Float32Array
}

/** What a batch of loader() has besides; it changes nothing. */
const LOADER_KEYS = ['indices', 'bad', 'shape'] as const

/** Throws ERR_SKNET_OPTION for a batch of the wrong size, ERR_SKNET_DATA for a label that is no class. */
export function checkBatch(batch: StepBatch, batchSize: number, size: number, spec: Model['spec']): CheckedBatch {
  const { images, labels, labels2, mix } = knownKeys('batch', batch, ['images', 'labels', 'labels2', 'mix', ...LOADER_KEYS])
  const wanted = batchSize * size * size * spec.input.channels
  if (!(images instanceof Float32Array) || images.length !== wanted) {
    return badOption(
      'batch.images',
      images,
      `a Float32Array of ${batchSize} x ${size} x ${size} x ${spec.input.channels} = ${wanted} numbers`,
    )
  }
  const checked = { images, labels: checkLabels('batch.labels', labels, batchSize, spec.classes) }
  if (labels2 === undefined && mix === undefined) return checked
  const shares = mix instanceof Float32Array || Array.isArray(mix) ? Float32Array.from(mix as ArrayLike<number>) : null
  if (shares?.length !== batchSize || shares.some((share) => !(share >= 0 && share <= 1))) {
    return badOption('batch.mix', mix, `${batchSize} numbers from 0 to 1, as a Float32Array or an array, beside labels2`)
  }
  return { ...checked, labels2: checkLabels('batch.labels2', labels2, batchSize, spec.classes), mix: shares }
}

function checkLabels(option: string, labels: unknown, batchSize: number, classes: number): Int32Array {
  const given = labels instanceof Int32Array || Array.isArray(labels) ? Int32Array.from(labels as ArrayLike<number>) : null
  if (given?.length !== batchSize) return badOption(option, labels, `${batchSize} labels, as an Int32Array or an array`)
  const at = given.findIndex((label, i) => label !== (labels as ArrayLike<number>)[i] || label < 0 || label >= classes)
  if (at < 0) return given
  const got = (labels as ArrayLike<number>)[at]
  throw new SknetError('ERR_SKNET_DATA', `Label ${String(got)} at place ${at} of the batch is no class of the model`, {
    option,
    got,
    expected: `a whole number from 0 to ${classes - 1}`,
  })
}
