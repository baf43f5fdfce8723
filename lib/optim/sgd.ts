/**
 * SGD with momentum, as PyTorch defines it: v = m v + (g + wd w), w = w - lr v, and with nesterov w = w - lr (g + wd w + m v).
 * The native core does the step; here the options become one weight decay for each tensor.
 */
import type { PlanOptions, TensorInfo } from '../native.js'

export interface SgdOptions {
  name: 'sgd'
  lr: number
  momentum: number
  nesterov: boolean
  weightDecay: number
  /** 0: off; otherwise the largest 2-norm of the whole gradient. */
  gradClip: number
}

/**
 * One weight decay for each parameter, in the order of `tensors` restricted to parameters. Tensors of two or more dimensions decay
 * (convolution and linear weights); biases and the scales and shifts of normalisation do not.
 */
export function weightDecays(tensors: readonly TensorInfo[], weightDecay: number): Float64Array {
  const parameters = tensors.filter((tensor) => tensor.kind === 'param')
  return Float64Array.from(parameters, (tensor) => (tensor.shape.length >= 2 ? weightDecay : 0))
}

/** The optimizer part of the plan's options. */
export function planOptimizer(sgd: SgdOptions, emaDecay: number, tensors: readonly TensorInfo[]): NonNullable<PlanOptions['optimizer']> {
  return {
    momentum: sgd.momentum,
    nesterov: sgd.nesterov,
    weightDecay: weightDecays(tensors, sgd.weightDecay),
    gradClip: sgd.gradClip,
    emaDecay,
  }
}
