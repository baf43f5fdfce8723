import { at, map, type Tensor } from './tensor.js'

export function reluForward(x: Tensor): Tensor {
  return map(x, (value) => Math.max(value, 0))
}

/** The derivative at 0 is 0, as everywhere. */
export function reluBackward(dy: Tensor, x: Tensor): Tensor {
  return map(dy, (value, i) => (at(x.data, i) > 0 ? value : 0))
}

/** Distance of the nearest element to the kink at 0. */
export function reluMargin(x: Tensor): number {
  return x.data.reduce((least, value) => Math.min(least, Math.abs(value)), Infinity)
}
