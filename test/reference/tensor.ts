// test/reference: every op once more in float64 with naive loops, from the formulas alone. Nothing here may import lib/ (but the types of
// lib/model/spec.ts) or the addon: what is compared must not share code with what it is compared to.

/** Row-major; activations NHWC, convolution weights OIHW. */
export interface Tensor {
  shape: readonly number[]
  data: Float64Array
}

export type Shape4 = readonly [number, number, number, number]

export function zeros(shape: readonly number[]): Tensor {
  return { shape, data: new Float64Array(shape.reduce((product, size) => product * size, 1)) }
}

export function tensor(shape: readonly number[], values: ArrayLike<number>): Tensor {
  const result = zeros(shape)
  if (values.length !== result.data.length) throw new RangeError(`${values.length} values for shape [${shape.join(', ')}]`)
  result.data.set(values)
  return result
}

/** The four sizes of an activation or a convolution weight. */
export function shape4(t: Tensor): Shape4 {
  const [a, b, c, d] = t.shape
  if (t.shape.length !== 4 || a === undefined || b === undefined || c === undefined || d === undefined) {
    throw new RangeError(`four dimensions expected, got [${t.shape.join(', ')}]`)
  }
  return [a, b, c, d]
}

/** a[i], where i is known to lie inside: the reference wants an error instead of NaN when its own indexing is wrong. */
export function at(a: ArrayLike<number>, i: number): number {
  const value = a[i]
  if (value === undefined) throw new RangeError(`index ${i} outside 0..${a.length - 1}`)
  return value
}

export function map(t: Tensor, f: (value: number, i: number) => number): Tensor {
  const result = zeros(t.shape)
  for (let i = 0; i < t.data.length; i++) result.data[i] = f(at(t.data, i), i)
  return result
}

/** Adds b to a in place. */
export function accumulate(a: Float64Array, b: Float64Array): void {
  for (let i = 0; i < a.length; i++) a[i] = at(a, i) + at(b, i)
}
