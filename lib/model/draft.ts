/** A network under construction, and the single layers that its parts are made of. Each function appends and returns the output's name. */
import type { Conv2dLayer, Init, Layer, SkBranch } from './spec.js'

/** The layers so far, and the tensors that do not start the default way. */
export interface Draft {
  layers: Layer[]
  init: Record<string, Init>
}

/** timm's and PyTorch's; the paper's Caffe models keep running averages with 0.05 (FACTS 1.1). */
const NORM = { eps: 1e-5, momentum: 0.1 }

const smallNormal: Init = { kind: 'normal', std: 0.01 }

/** An SK unit for one width of channels. */
export interface SkUnit {
  branches: SkBranch[]
  /** Attention width: max(channels / reduction, minWidth); null: plain sum. */
  attention: { reduction: number; minWidth: number } | null
  /** Each branch reads its share of the input's channels. */
  splitInput: boolean
  /** As many groups as channels, whatever the branches say. */
  depthwise?: boolean
}

export function append(draft: Draft, layer: Layer): string {
  draft.layers.push(layer)
  return layer.name
}

/** A 1x1 convolution of stride 1 without bias, unless `rest` says otherwise. */
export function conv(draft: Draft, name: string, from: string, out: number, rest: Partial<Conv2dLayer> = {}): string {
  const plain = { kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1, bias: false }
  return append(draft, { op: 'conv2d', name, inputs: [from], out, ...plain, ...rest })
}

export function batchNorm(draft: Draft, name: string, from: string): string {
  return append(draft, { op: 'batch_norm', name, inputs: [from], ...NORM })
}

export function relu(draft: Draft, name: string, from: string): string {
  return append(draft, { op: 'relu', name, inputs: [from] })
}

export function add(draft: Draft, name: string, a: string, b: string): string {
  return append(draft, { op: 'add', name, inputs: [a, b] })
}

export function skUnit(draft: Draft, name: string, from: string, out: number, stride: number, unit: SkUnit): string {
  const attention = unit.attention && { width: Math.max(Math.floor(out / unit.attention.reduction), unit.attention.minWidth) }
  const branches = unit.branches.map((b) => ({ ...b, ...(unit.depthwise ? { groups: out } : {}) }))
  const split = unit.splitInput ? { splitInput: true } : {}
  append(draft, { op: 'sk_unit', name, inputs: [from], out, stride, branches, attention, ...split, ...NORM })
  if (attention !== null) {
    draft.init[`${name}.attn.fc_reduce.weight`] = smallNormal
    draft.init[`${name}.attn.fc_select.weight`] = smallNormal
  }
  return name
}

/** Squeeze and excitation of `channels` through `width`; both fully connected layers are 1x1 convolutions with bias, as in timm. */
export function squeezeExcite(draft: Draft, name: string, from: string, channels: number, width: number): string {
  append(draft, { op: 'global_avg_pool', name: `${name}.pool`, inputs: [from] })
  conv(draft, `${name}.fc1`, `${name}.pool`, width, { bias: true })
  relu(draft, `${name}.act`, `${name}.fc1`)
  conv(draft, `${name}.fc2`, `${name}.act`, channels, { bias: true })
  append(draft, { op: 'sigmoid', name: `${name}.gate`, inputs: [`${name}.fc2`] })
  return append(draft, { op: 'channel_scale', name: `${name}.scale`, inputs: [from, `${name}.gate`] })
}

/** Global average pool and the classifier, called `fc`. */
export function classifier(draft: Draft, from: string, classes: number): string {
  append(draft, { op: 'global_avg_pool', name: 'global_pool', inputs: [from] })
  draft.init['fc.weight'] = smallNormal
  return append(draft, { op: 'linear', name: 'fc', inputs: ['global_pool'], out: classes, bias: true })
}
