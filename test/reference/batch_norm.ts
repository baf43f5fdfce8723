import { at, map, shape4, zeros, type Tensor } from './tensor.js'

/** Per channel, over n, h, w. */
export interface BatchStatistics {
  mean: Float64Array
  /** Divided by the count: what normalises. */
  variance: Float64Array
  /** Divided by the count less one: what the running variance takes. */
  unbiased: Float64Array
}

export function batchStatistics(x: Tensor): BatchStatistics {
  const [n, h, w, c] = shape4(x)
  const count = n * h * w
  if (count < 2) throw new RangeError('batch statistics of one value a channel')
  const mean = new Float64Array(c)
  const squares = new Float64Array(c)
  for (let i = 0; i < x.data.length; i++) mean[i % c]! += at(x.data, i) / count
  for (let i = 0; i < x.data.length; i++) squares[i % c]! += (at(x.data, i) - at(mean, i % c)) ** 2
  return { mean, variance: squares.map((s) => s / count), unbiased: squares.map((s) => s / (count - 1)) }
}

/** y = gamma (x - mean) / sqrt(variance + eps) + beta, with the statistics of the batch (training) or the running ones (inference). */
export function batchNormForward(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  statistics: { mean: Float64Array; variance: Float64Array },
  eps: number,
): Tensor {
  const c = shape4(x)[3]
  return map(x, (value, i) => {
    const k = i % c
    return (at(gamma.data, k) * (value - at(statistics.mean, k))) / Math.sqrt(at(statistics.variance, k) + eps) + at(beta.data, k)
  })
}

/** Training mode: the gradient also flows through mean and variance (Ioffe and Szegedy 2015, section 3). */
export function batchNormBackward(
  dy: Tensor,
  x: Tensor,
  gamma: Tensor,
  statistics: { mean: Float64Array; variance: Float64Array },
  eps: number,
): { dx: Tensor; dgamma: Tensor; dbeta: Tensor } {
  const [n, h, w, c] = shape4(x)
  const count = n * h * w
  const inverse = statistics.variance.map((v) => 1 / Math.sqrt(v + eps))
  const normal = map(x, (value, i) => (value - at(statistics.mean, i % c)) * at(inverse, i % c))
  const dgamma = zeros([c])
  const dbeta = zeros([c])
  for (let i = 0; i < dy.data.length; i++) {
    dbeta.data[i % c]! += at(dy.data, i)
    dgamma.data[i % c]! += at(dy.data, i) * at(normal.data, i)
  }
  const dx = map(dy, (value, i) => {
    const k = i % c
    const centred = value - at(dbeta.data, k) / count - (at(normal.data, i) * at(dgamma.data, k)) / count
    return at(gamma.data, k) * at(inverse, k) * centred
  })
  return { dx, dgamma, dbeta }
}
