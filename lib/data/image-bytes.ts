/** Batches of bytes: what a device is given instead of floats, so that it resizes, pads, flips, normalises and mixes itself. */
import type { TransformOptions } from '../native.js'

/** Room an image has on the average where parts of pictures go up, in those of a finished one: enough for photographs of 500 x 375 at 224. */
const PART_TIMES = 2.5

/** Where crops are resized: effects work on the finished crop, so it is made where they are. */
export function resizePlace({ effects = [] }: TransformOptions): 'device' | 'host' {
  return effects.length > 0 ? 'host' : 'device'
}

/** imageBytes of loaders of `transform` and of plans on `device` that read from them: 0 on the CPU, which reads floats. */
export function imageBytes(transform: TransformOptions, device: string): number {
  if (device === 'cpu') return 0
  const { height, width, geometry } = transform
  const finished = 3 * height * width
  // A padded crop is never more than its picture.
  const parts = geometry !== 'pad_crop' && resizePlace(transform) === 'device'
  return 16 * Math.ceil((parts ? PART_TIMES * finished + tableBytes(height, width) : finished) / 16)
}

/** Of the tables that a resize comes with: for each row and column a first pixel, a count and seven weights. */
function tableBytes(height: number, width: number): number {
  return 4 * 9 * (height + width) + 64
}
