import { batchNormBackward, batchNormForward, batchStatistics, type BatchStatistics } from './batch_norm.js'
import type { Tensor } from './tensor.js'

/** Tensor name -> value. */
export type Tensors = ReadonlyMap<string, Tensor>

/** What one layer's forward leaves behind. */
export interface LayerRun {
  y: Tensor
  /** Batch statistics by the name of their batch norm; empty in inference. */
  statistics: Map<string, BatchStatistics & { momentum: number }>
  /** Distance to the nearest point where the layer is not differentiable (a ReLU at 0, two equal maxima). */
  margin: number
  /** Only after a training forward: gradients of the inputs and, by name, of the layer's own parameters. */
  backward(dy: Tensor): { dx: Tensor[]; gradients: Map<string, Tensor> }
}

export function get(tensors: Tensors, name: string): Tensor {
  const t = tensors.get(name)
  if (!t) throw new RangeError(`no tensor ${name}`)
  return t
}

export function runBatchNorm(name: string, x: Tensor, tensors: Tensors, eps: number, momentum: number, training: boolean): LayerRun {
  const gamma = get(tensors, `${name}.weight`)
  const beta = get(tensors, `${name}.bias`)
  if (!training) {
    const running = { mean: get(tensors, `${name}.running_mean`).data, variance: get(tensors, `${name}.running_var`).data }
    return {
      y: batchNormForward(x, gamma, beta, running, eps),
      statistics: new Map(),
      margin: Infinity,
      backward: () => {
        throw new Error('backward of an inference forward')
      },
    }
  }
  const statistics = batchStatistics(x)
  return {
    y: batchNormForward(x, gamma, beta, statistics, eps),
    statistics: new Map([[name, { ...statistics, momentum }]]),
    margin: Infinity,
    backward: (dy) => {
      const { dx, dgamma, dbeta } = batchNormBackward(dy, x, gamma, statistics, eps)
      return {
        dx: [dx],
        gradients: new Map([
          [`${name}.weight`, dgamma],
          [`${name}.bias`, dbeta],
        ]),
      }
    },
  }
}
