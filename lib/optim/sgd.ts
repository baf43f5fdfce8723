/**
 * SGD with momentum, as PyTorch defines it: v = m v + (g + wd w), w = w - lr v, and with nesterov w = w - lr (g + wd w + m v); LARS
 * multiplies g + wd w of each tensor of two or more dimensions by trust |w| / (|g| + wd |w|) (You et al. 2017), for batches of thousands.
 * The native core does the step; here the options become numbers for each tensor.
 */
import type { PlanOptions, TensorInfo } from '../native.js'
import { groupsOf, type ParameterGroup } from './groups.js'

export interface OptimizerOptions {
  name: 'sgd' | 'lars'
  lr: number
  momentum: number
  nesterov: boolean
  weightDecay: number
  /** 0: off; otherwise the largest 2-norm of the whole gradient. */
  gradClip: number
  /** Only read by `lars`. */
  trust: number
  groups: ParameterGroup[]
}

/**
 * One weight decay for each parameter, in the order of `tensors` restricted to parameters. Tensors of two or more dimensions decay
 * (convolution and linear weights); biases and the scales and shifts of normalisation do not.
 */
export function weightDecays(tensors: readonly TensorInfo[], weightDecay: number): Float64Array {
  return Float64Array.from(parametersOf(tensors), (tensor) => (tensor.shape.length >= 2 ? weightDecay : 0))
}

/** The optimizer part of the plan's options. Throws ERR_SKNET_OPTION for a group that fits no tensor. */
export function planOptimizer(
  options: OptimizerOptions,
  emaDecay: number,
  tensors: readonly TensorInfo[],
): NonNullable<PlanOptions['optimizer']> {
  const { name, momentum, nesterov, gradClip, trust } = options
  const groups = groupsOf(
    options.groups,
    parametersOf(tensors).map((tensor) => tensor.name),
  )
  const weightDecay = weightDecays(tensors, options.weightDecay).map((decay, i) => groups[i]?.weightDecay ?? decay)
  const lrScale = Float64Array.from(groups, (group) => (group?.frozen === true ? 0 : (group?.lr ?? 1)))
  return {
    momentum,
    nesterov,
    weightDecay,
    gradClip,
    emaDecay,
    ...(options.groups.length > 0 ? { lrScale } : {}),
    ...(name === 'lars' ? { trust } : {}),
  }
}

function parametersOf(tensors: readonly TensorInfo[]): TensorInfo[] {
  return tensors.filter((tensor) => tensor.kind === 'param')
}
