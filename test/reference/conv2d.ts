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
 * Calls visit(offset in x, offset in w, offset in y) for every product of the convolution: y[y] += x[x] * w[w].
 * All three directions are this one enumeration, so that a wrong index cannot be wrong in one of them only.
 */
function forEachProduct([n, h, w, c]: Shape4, out: number, g: Conv2dGeometry, visit: (x: number, w: number, y: number) => void): void {
  const oh = convOutputSize(h, g)
  const ow = convOutputSize(w, g)
  const cg = c / g.groups
  const og = out / g.groups
  const k = g.kernel
  for (let b = 0; b < n; b++)
    for (let oy = 0; oy < oh; oy++)
      for (let ox = 0; ox < ow; ox++)
        for (let ky = 0; ky < k; ky++) {
          const iy = oy * g.stride - g.padding + ky * g.dilation
          if (iy < 0 || iy >= h) continue
          for (let kx = 0; kx < k; kx++) {
            const ix = ox * g.stride - g.padding + kx * g.dilation
            if (ix < 0 || ix >= w) continue
            const pixel = ((b * h + iy) * w + ix) * c
            const result = ((b * oh + oy) * ow + ox) * out
            for (let o = 0; o < out; o++) {
              const group = Math.floor(o / og)
              for (let i = 0; i < cg; i++) visit(pixel + group * cg + i, ((o * cg + i) * k + ky) * k + kx, result + o)
            }
          }
        }
}

/** x [n, h, w, c], w [out, c / groups, k, k], bias [out] or null -> [n, oh, ow, out] */
export function conv2dForward(x: Tensor, w: Tensor, bias: Tensor | null, g: Conv2dGeometry): Tensor {
  const [n, h, width] = shape4(x)
  const [out] = shape4(w)
  const y = zeros([n, convOutputSize(h, g), convOutputSize(width, g), out])
  const { data } = y
  if (bias) for (let i = 0; i < data.length; i++) data[i] = at(bias.data, i % out)
  forEachProduct(shape4(x), out, g, (xi, wi, yi) => {
    data[yi]! += x.data[xi]! * w.data[wi]!
  })
  return y
}

export function conv2dBackwardData(dy: Tensor, w: Tensor, xShape: Shape4, g: Conv2dGeometry): Tensor {
  const dx = zeros(xShape)
  const { data } = dx
  forEachProduct(xShape, shape4(w)[0], g, (xi, wi, yi) => {
    data[xi]! += dy.data[yi]! * w.data[wi]!
  })
  return dx
}

export function conv2dBackwardWeight(dy: Tensor, x: Tensor, wShape: Shape4, g: Conv2dGeometry): Tensor {
  const dw = zeros(wShape)
  const { data } = dw
  forEachProduct(shape4(x), wShape[0], g, (xi, wi, yi) => {
    data[wi]! += dy.data[yi]! * x.data[xi]!
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
