import { at, map, shape4, zeros, type Shape4, type Tensor } from './tensor.js'

/** [n, h, w, c] -> [n, 1, 1, c] */
export function globalAvgPoolForward(x: Tensor): Tensor {
  const [n, h, w, c] = shape4(x)
  const y = zeros([n, 1, 1, c])
  for (let i = 0; i < x.data.length; i++) y.data[Math.floor(i / (h * w * c)) * c + (i % c)]! += at(x.data, i) / (h * w)
  return y
}

export function globalAvgPoolBackward(dy: Tensor, xShape: Shape4): Tensor {
  const [, h, w, c] = xShape
  return map(zeros(xShape), (_, i) => at(dy.data, Math.floor(i / (h * w * c)) * c + (i % c)) / (h * w))
}
