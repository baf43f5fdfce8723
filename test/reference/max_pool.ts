import { at, shape4, zeros, type Shape4, type Tensor } from './tensor.js'

export interface PoolGeometry {
  kernel: number
  stride: number
  padding: number
  ceil?: boolean
}

/** PyTorch's rule: with `ceil` a window that the image cuts at the end counts if it begins inside it or in the padding before it. */
export function poolOutputSize(size: number, { kernel, stride, padding, ceil = false }: PoolGeometry): number {
  let out = 0
  for (let start = -padding; ceil ? start < size : start + kernel <= size + padding; start += stride) {
    out++
    if (start + kernel >= size + padding) break
  }
  return out
}

/** y, the place in x of each maximum (the first in row order where several are equal), and the least gap to a differing runner-up. */
export interface MaxPoolResult {
  y: Tensor
  argmax: Int32Array
  margin: number
}

/** x [n, h, w, c] -> [n, oh, ow, c]; padding is left out of the maximum. */
export function maxPoolForward(x: Tensor, g: PoolGeometry): MaxPoolResult {
  const [n, h, w, c] = shape4(x)
  const oh = poolOutputSize(h, g)
  const ow = poolOutputSize(w, g)
  const y = zeros([n, oh, ow, c])
  const argmax = new Int32Array(y.data.length)
  let margin = Infinity
  for (let b = 0; b < n; b++) {
    for (let oy = 0; oy < oh; oy++) {
      for (let ox = 0; ox < ow; ox++) {
        for (let k = 0; k < c; k++) {
          let best = -1
          const window: number[] = []
          for (let iy = oy * g.stride - g.padding; iy < oy * g.stride - g.padding + g.kernel; iy++) {
            for (let ix = ox * g.stride - g.padding; ix < ox * g.stride - g.padding + g.kernel; ix++) {
              if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue
              const i = ((b * h + iy) * w + ix) * c + k
              window.push(at(x.data, i))
              if (best < 0 || at(x.data, i) > at(x.data, best)) best = i
            }
          }
          const o = ((b * oh + oy) * ow + ox) * c + k
          y.data[o] = at(x.data, best)
          argmax[o] = best
          for (const value of window) if (value !== y.data[o]) margin = Math.min(margin, at(y.data, o) - value)
        }
      }
    }
  }
  return { y, argmax, margin }
}

export function maxPoolBackward(dy: Tensor, argmax: Int32Array, xShape: Shape4): Tensor {
  const dx = zeros(xShape)
  for (let i = 0; i < dy.data.length; i++) dx.data[at(argmax, i)]! += at(dy.data, i)
  return dx
}
