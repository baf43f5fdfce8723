import { at, shape4, zeros, type Shape4, type Tensor } from './tensor.js'

export interface Conv2dGeometry {
  kernel: number
  stride: number
  padding: number
  dilation: number
  groups: number
}

/** Pixels of the output along one side of the input. */
export function convOutputSize(size: number, g: Conv2dGeometry): number {
  return Math.floor((size + 2 * g.padding - g.dilation * (g.kernel - 1) - 1) / g.stride) + 1
}

/**
 * Calls visit(x, w, y) with the offsets of the first product of every run: y[y] += sum over i < c / groups of x[x + i] * w[w + i k k].
 * All three directions are this one enumeration, so that a wrong index cannot be wrong in one of them only.
 */
function forEachRun([n, h, w, c]: Shape4, out: number, g: Conv2dGeometry, visit: (x: number, w: number, y: number) => void): void {
  const oh = convOutputSize(h, g)
  const ow = convOutputSize(w, g)
  const cg = c / g.groups
  const og = out / g.groups
  const k = g.kernel
  for (let b = 0; b < n; b++) {
    for (let oy = 0; oy < oh; oy++) {
      for (let ox = 0; ox < ow; ox++) {
        for (let ky = 0; ky < k; ky++) {
          const iy = oy * g.stride - g.padding + ky * g.dilation
          if (iy < 0 || iy >= h) continue
          for (let kx = 0; kx < k; kx++) {
            const ix = ox * g.stride - g.padding + kx * g.dilation
            if (ix < 0 || ix >= w) continue
            const x = ((b * h + iy) * w + ix) * c
            const y = ((b * oh + oy) * ow + ox) * out
            for (let group = 0; group < g.groups; group++) {
              for (let o = group * og; o < (group + 1) * og; o++) visit(x + group * cg, (o * cg * k + ky) * k + kx, y + o)
            }
          }
        }
      }
    }
  }
}

/** x [n, h, w, c], w [out, c / groups, k, k], bias [out] or null -> [n, oh, ow, out] */
export function conv2dForward(x: Tensor, w: Tensor, bias: Tensor | null, g: Conv2dGeometry): Tensor {
  const [n, h, width] = shape4(x)
  const [out, cg] = shape4(w)
  const taps = g.kernel * g.kernel
  const y = zeros([n, convOutputSize(h, g), convOutputSize(width, g), out])
  const { data } = y
  if (bias) for (let i = 0; i < data.length; i++) data[i] = at(bias.data, i % out)
  forEachRun(shape4(x), out, g, (xi, wi, yi) => {
    let sum = 0
    for (let i = 0; i < cg; i++) sum += x.data[xi + i]! * w.data[wi + i * taps]!
    data[yi]! += sum
  })
  return y
}

export function conv2dBackwardData(dy: Tensor, w: Tensor, xShape: Shape4, g: Conv2dGeometry): Tensor {
  const [out, cg] = shape4(w)
  const taps = g.kernel * g.kernel
  const dx = zeros(xShape)
  const { data } = dx
  forEachRun(xShape, out, g, (xi, wi, yi) => {
    const d = dy.data[yi]!
    for (let i = 0; i < cg; i++) data[xi + i]! += d * w.data[wi + i * taps]!
  })
  return dx
}

export function conv2dBackwardWeight(dy: Tensor, x: Tensor, wShape: Shape4, g: Conv2dGeometry): Tensor {
  const [out, cg] = wShape
  const taps = g.kernel * g.kernel
  const dw = zeros(wShape)
  const { data } = dw
  forEachRun(shape4(x), out, g, (xi, wi, yi) => {
    const d = dy.data[yi]!
    for (let i = 0; i < cg; i++) data[wi + i * taps]! += d * x.data[xi + i]!
  })
  return dw
}

/** dy [n, oh, ow, out] -> [out] */
export function conv2dBackwardBias(dy: Tensor): Tensor {
  const out = shape4(dy)[3]
  const db = zeros([out])
  for (let i = 0; i < dy.data.length; i++) db.data[i % out]! += at(dy.data, i)
  return db
}
