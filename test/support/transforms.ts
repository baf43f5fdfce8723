/** What native loaders are given by tests that call them without lib/. */
import type { LoaderOptions, TransformOptions } from '../../binding.js'

/** One pixel, cut from the middle, as v / 255. */
export const identity: TransformOptions = {
  height: 1,
  width: 1,
  geometry: 'resize_crop',
  pad: 0,
  area: [1, 1],
  aspect: [1, 1],
  resize: 0,
  interpolation: 'bilinear',
  flip: 0,
  mean: [0, 0, 0],
  std: [1, 1, 1],
}

/** Whole batches in the source's order. */
export const inOrder: Omit<LoaderOptions, 'batchSize' | 'transform'> = {
  seed: 0,
  epoch: 0,
  shuffle: false,
  dropLast: true,
  skipBatches: 0,
  threads: 1,
  ahead: 2,
  onBadSample: 'replace',
}
