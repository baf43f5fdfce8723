// Short ways to write layers in test cases; each takes the name of the layer and what differs from the plainest form.
import type {
  AddLayer,
  BatchNormLayer,
  Conv2dLayer,
  LinearLayer,
  MaxPoolLayer,
  SkBranch,
  SkUnitLayer,
  GlobalAvgPoolLayer,
  ReluLayer,
  SigmoidLayer,
  ChannelScaleLayer,
  ChannelShuffleLayer,
  ChannelSliceLayer,
  ConcatLayer,
} from '../../lib/model/spec.js'

type Options<T> = Partial<Omit<T, 'op' | 'name' | 'inputs'>>

/** A 1x1 convolution without bias unless `options` say otherwise. */
export function conv2d(name: string, from: string, out: number, options: Options<Conv2dLayer> = {}): Conv2dLayer {
  const plain = { kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1, bias: false }
  return { op: 'conv2d', name, inputs: [from], out, ...plain, ...options }
}

export function batchNorm(name: string, from: string): BatchNormLayer {
  return { op: 'batch_norm', name, inputs: [from], eps: 1e-5, momentum: 0.1 }
}

export function relu(name: string, from: string): ReluLayer {
  return { op: 'relu', name, inputs: [from] }
}

export function sigmoid(name: string, from: string): SigmoidLayer {
  return { op: 'sigmoid', name, inputs: [from] }
}

export function add(name: string, a: string, b: string): AddLayer {
  return { op: 'add', name, inputs: [a, b] }
}

export function maxPool(name: string, from: string, kernel: number, stride: number, padding: number, ceil?: true): MaxPoolLayer {
  return { op: 'max_pool', name, inputs: [from], kernel, stride, padding, ...(ceil === undefined ? {} : { ceil }) }
}

export function concat(name: string, ...inputs: string[]): ConcatLayer {
  return { op: 'concat', name, inputs }
}

export function channelSlice(name: string, from: string, first: number, out: number): ChannelSliceLayer {
  return { op: 'channel_slice', name, inputs: [from], first, out }
}

export function channelShuffle(name: string, from: string, groups: number): ChannelShuffleLayer {
  return { op: 'channel_shuffle', name, inputs: [from], groups }
}

export function globalAvgPool(name: string, from: string): GlobalAvgPoolLayer {
  return { op: 'global_avg_pool', name, inputs: [from] }
}

export function channelScale(name: string, from: string, gate: string): ChannelScaleLayer {
  return { op: 'channel_scale', name, inputs: [from, gate] }
}

export function linear(name: string, from: string, out: number, bias = true): LinearLayer {
  return { op: 'linear', name, inputs: [from], out, bias }
}

/** `width` of the attention, or null for the plain sum of the branches. */
export function skUnit(
  name: string,
  from: string,
  out: number,
  branches: SkBranch[],
  width: number | null,
  stride = 1,
  splitInput?: true,
): SkUnitLayer {
  const attention = width === null ? null : { width }
  const split = splitInput === undefined ? {} : { splitInput }
  return { op: 'sk_unit', name, inputs: [from], out, stride, branches, attention, ...split, eps: 1e-5, momentum: 0.1 }
}

/** M branches of 3x3 kernels with dilation 1, 2, ..., M: the paper's fast form of 3x3, 5x5, 7x7. */
export function dilatedBranches(count: number, groups: number): SkBranch[] {
  return Array.from({ length: count }, (_, m) => ({ kernel: 3, dilation: m + 1, groups }))
}
