/**
 * A model as plain data: a list of named layers in topological order. The native core reads exactly this list;
 * nothing else about a model crosses the border. Activations are NHWC, weights OIHW.
 *
 * Tensor names follow from layer names, as in timm: conv2d and linear own `<name>.weight` (and `<name>.bias`), batch_norm owns
 * `<name>.weight`, `.bias`, `.running_mean`, `.running_var`, sk_unit owns the names listed at SkUnitLayer.
 */

/** The name by which layers refer to the network's input. */
export const INPUT = 'input'

interface LayerBase {
  /** Unique within the model; tensor names start with it. */
  name: string
  /** Names of the layers (or INPUT) whose outputs this one reads. */
  inputs: string[]
}

/** y[n, ho, wo, out] = conv(x[n, h, w, c]); weight [out, c / groups, kernel, kernel], bias [out]; square kernels. */
export interface Conv2dLayer extends LayerBase {
  op: 'conv2d'
  out: number
  kernel: number
  stride: number
  padding: number
  dilation: number
  groups: number
  bias: boolean
}

/** Per-channel normalisation over n, h, w of one shard; `momentum` in PyTorch's sense (new = (1 - m) old + m batch). */
export interface BatchNormLayer extends LayerBase {
  op: 'batch_norm'
  eps: number
  momentum: number
}

export interface ReluLayer extends LayerBase {
  op: 'relu'
}

export interface SigmoidLayer extends LayerBase {
  op: 'sigmoid'
}

/** inputs: two tensors of the same shape. */
export interface AddLayer extends LayerBase {
  op: 'add'
}

/** Square window; padding never wins the maximum. */
export interface MaxPoolLayer extends LayerBase {
  op: 'max_pool'
  kernel: number
  stride: number
  padding: number
  /** true: a window that the image cuts at the end counts, too (Caffe's way; PyTorch's ceil_mode). Default false. */
  ceil?: boolean
}

/** [n, h, w, c] -> [n, 1, 1, c] */
export interface GlobalAvgPoolLayer extends LayerBase {
  op: 'global_avg_pool'
}

/** inputs: x [n, h, w, c] and gate [n, 1, 1, c]; the SE block's last step. */
export interface ChannelScaleLayer extends LayerBase {
  op: 'channel_scale'
}

/** inputs: two to four tensors of one height and width; their channels one after the other. */
export interface ConcatLayer extends LayerBase {
  op: 'concat'
}

/** Channels first to first + out - 1. */
export interface ChannelSliceLayer extends LayerBase {
  op: 'channel_slice'
  first: number
  out: number
}

/** One channel from each of `groups` equal runs in turn: [g, c / g] transposed, as in ShuffleNet. */
export interface ChannelShuffleLayer extends LayerBase {
  op: 'channel_shuffle'
  groups: number
}

/** [n, 1, 1, c] -> [n, 1, 1, out]; weight [out, c], bias [out]. */
export interface LinearLayer extends LayerBase {
  op: 'linear'
  out: number
  bias: boolean
}

/** One branch of an SK unit; its padding is dilation * (kernel - 1) / 2, kernels are odd. */
export interface SkBranch {
  kernel: number
  dilation: number
  groups: number
}

/**
 * Selective kernel unit (paper section 3.1, FACTS 1.1): split, fuse, select, from one input.
 * Tensors, for branch m (from 0) and attention width d:
 *   <name>.paths.<m>.conv.weight [out, c / groups, k, k], <name>.paths.<m>.bn.{weight,bias,running_mean,running_var} [out],
 *   <name>.attn.fc_reduce.weight [d, out, 1, 1], <name>.attn.bn.{...} [d], <name>.attn.fc_select.weight [M * out, d, 1, 1].
 * `attention: null` is the plain sum of the branches (FACTS 1.8) and owns no attn tensors.
 * `splitInput: true`: branch m reads the m-th of M equal shares of the input's channels only (timm's skresnet), so c above is c / M.
 */
export interface SkUnitLayer extends LayerBase {
  op: 'sk_unit'
  out: number
  stride: number
  branches: SkBranch[]
  attention: { width: number } | null
  splitInput?: boolean
  eps: number
  momentum: number
}

export type Layer =
  | Conv2dLayer
  | BatchNormLayer
  | ReluLayer
  | SigmoidLayer
  | AddLayer
  | MaxPoolLayer
  | GlobalAvgPoolLayer
  | ChannelScaleLayer
  | ConcatLayer
  | ChannelSliceLayer
  | ChannelShuffleLayer
  | LinearLayer
  | SkUnitLayer

export type LayerOp = Layer['op']

/** How a fresh weight is drawn; the seed and the tensor's name decide the numbers (FACTS 1.1). */
export type Init = { kind: 'he_fan_in' } | { kind: 'normal'; std: number } | { kind: 'constant'; value: number }

/** A whole network. JSON.parse(JSON.stringify(spec)) is the same spec. The last layer is the output, [n, 1, 1, classes]. */
export interface ModelSpec {
  format: 'sknet-model-1'
  /** Registry name, or a name of the user's. */
  arch: string
  classes: number
  /** Default input: size is only a default, the networks are size-agnostic. */
  input: { channels: number; size: number }
  layers: Layer[]
  /** Tensor name -> init, for tensors that do not follow the default (conv2d, linear: he_fan_in; scale 1; everything else 0). */
  init?: Record<string, Init>
}
