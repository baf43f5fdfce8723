/** The options of a training run as TypeScript sees them; the rules each one has to follow are in option-schema.ts. */
import type { OptimizerOptions } from '../optim/sgd.js'
import type { AugmentName } from '../data/dataset.js'

/** A number of validation that a run can be judged by. */
export type BestMetric = 'top1' | 'top5' | 'loss'

/** A run's options with every default filled in. `null` stands for "the data set's own", read when the data is known. */
export interface TrainOptions {
  epochs: number
  batchSize: number
  /** Images whose batch statistics belong together; batchSize is a multiple of it. */
  shardSize: number
  seed: number
  precision: 'fp32' | 'bf16'
  /** null: every thread the process may use. */
  threads: number | null
  device: string
  devices: number
  optimizer: OptimizerOptions
  /** `steps`: the epochs, counted from 0, before which the `step` schedule divides the rate by ten. */
  schedule: { name: 'step' | 'cosine'; warmupEpochs: number; steps: number[] }
  loss: { labelSmoothing: number }
  ema: { decay: number }
  data: {
    augment: AugmentName | null
    size: number | null
    /** Side of the first epochs; null: `size` throughout. */
    startSize: number | null
    /** Epochs, counted from 0, between which the side grows; two, or none. */
    rampEpochs: number[]
    mixup: number
    cutmix: number
    dctScale: boolean
    /** Strength of brightness, contrast and saturation; 0: none. */
    colorJitter: number
    /** [effects a picture, magnitude of 0 to 30], or []. */
    randAugment: number[]
    /** Every class as often as every other in an epoch of as many images as there are; rare ones are repeated with other crops. */
    balanced: boolean
    onBadSample: 'replace' | 'skip'
    /** A share of the training images below 1, else a count; null: max(10, 0.01 %). */
    badSampleBudget: number | null
  }
  eval: { resize: number | null; crop: number | null; interpolation: 'bilinear' | 'bicubic' | null }
  best: { metric: BestMetric }
  /** `patience`: epochs in a row that gain no more than `minDelta` end the run; 0: never. */
  earlyStop: { patience: number; minDelta: number }
  /** `every`: steps, or '1ep' for the end of each epoch. */
  checkpoint: { every: number | '1ep'; keep: number }
  onNonFinite: 'stop'
  syncBn: boolean
}

/** The same with everything optional, as people write it. */
export type PartialTrainOptions = { [K in keyof TrainOptions]?: TrainOptions[K] extends Group ? Partial<TrainOptions[K]> : TrainOptions[K] }

type Group = object
