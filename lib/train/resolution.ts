/**
 * Progressive resolution: training begins on smaller images and grows to `data.size`, which is cheaper and loses no accuracy (FFCV's
 * ImageNet recipes; Howard's DAWNBench entry). Between the epochs of `data.rampEpochs` the side grows linearly.
 */
import { SknetError } from '../errors.js'
import type { TrainOptions } from './option-types.js'

/** Sides are multiples of this, so that every stage of an ImageNet network halves evenly and few plans are built. */
const GRAIN = 32

/** Side of the training input in epoch `epoch` (from 0), where the last epochs use `size`. */
export function sizeOfEpoch({ startSize, rampEpochs }: TrainOptions['data'], size: number, epoch: number): number {
  if (startSize === null) return size
  const [from, to] = rampEpochs as [number, number]
  if (epoch < from) return startSize
  if (epoch >= to) return size
  const side = startSize + ((size - startSize) * (epoch - from)) / (to - from)
  return Math.min(size, Math.max(startSize, Math.round(side / GRAIN) * GRAIN))
}

/** Throws ERR_SKNET_OPTION where the sides or epochs of the ramp contradict each other. */
export function checkResolution({ startSize, rampEpochs }: TrainOptions['data'], size: number): void {
  if (startSize === null) return
  if (rampEpochs.length !== 2) {
    const details = { option: 'data.rampEpochs', got: rampEpochs, expected: 'the epochs at which the ramp begins and ends, such as 5,13' }
    throw new SknetError('ERR_SKNET_OPTION', 'data.startSize needs data.rampEpochs', details)
  }
  if (startSize > size) {
    const details = { option: 'data.startSize', got: startSize, expected: `at most the side of the last epochs, ${size}` }
    throw new SknetError('ERR_SKNET_OPTION', `data.startSize is ${startSize}, above data.size ${size}`, details)
  }
}
