import { at, map, type Tensor } from './tensor.js'

/** Backward hands dy to both inputs unchanged. */
export function addForward(a: Tensor, b: Tensor): Tensor {
  if (a.shape.join() !== b.shape.join()) throw new RangeError(`add of [${a.shape.join()}] and [${b.shape.join()}]`)
  return map(a, (value, i) => value + at(b.data, i))
}
