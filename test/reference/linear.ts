import { at, shape4, zeros, type Tensor } from './tensor.js'

/** x [n, 1, 1, c], w [out, c, ...ones], bias [out] or null -> [n, 1, 1, out] */
export function linearForward(x: Tensor, w: Tensor, bias: Tensor | null): Tensor {
  const [n, , , c] = shape4(x)
  const out = at(w.shape, 0)
  const y = zeros([n, 1, 1, out])
  for (let b = 0; b < n; b++) {
    for (let o = 0; o < out; o++) {
      let sum = bias ? at(bias.data, o) : 0
      for (let i = 0; i < c; i++) sum += at(x.data, b * c + i) * at(w.data, o * c + i)
      y.data[b * out + o] = sum
    }
  }
  return y
}

export function linearBackward(dy: Tensor, x: Tensor, w: Tensor): { dx: Tensor; dw: Tensor; dbias: Tensor } {
  const [n, , , c] = shape4(x)
  const out = at(w.shape, 0)
  const dx = zeros(x.shape)
  const dw = zeros(w.shape)
  const dbias = zeros([out])
  for (let b = 0; b < n; b++) {
    for (let o = 0; o < out; o++) {
      const d = at(dy.data, b * out + o)
      dbias.data[o]! += d
      for (let i = 0; i < c; i++) {
        dx.data[b * c + i]! += d * at(w.data, o * c + i)
        dw.data[o * c + i]! += d * at(x.data, b * c + i)
      }
    }
  }
  return { dx, dw, dbias }
}
