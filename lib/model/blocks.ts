/**
 * The parts that every network here is made of: stem, bottleneck (around a plain grouped convolution, with or without SE, or around an SK
 * unit), shortcut, head. Names are timm's. A part appends its layers and returns the name of its output.
 */
import { INPUT } from './spec.js'
import type { Conv2dLayer, Init, Layer, SkBranch } from './spec.js'

/** timm's and PyTorch's; the paper's Caffe models keep running averages with 0.05 (FACTS 1.1). */
const NORM = { eps: 1e-5, momentum: 0.1 }

/** What stands between the two 1x1 convolutions of a bottleneck. */
export type Unit =
  | { kind: 'conv'; groups: number; /** SE's reduction, or null for a plain bottleneck. */ se: number | null }
  | {
      kind: 'sk'
      branches: SkBranch[]
      /** Attention width: max(mid / reduction, minWidth); null: plain sum. */ attention: { reduction: number; minWidth: number } | null
    }

export interface Bottleneck {
  name: string
  from: string
  inChannels: number
  mid: number
  out: number
  stride: number
  unit: Unit
}

/** The layers of a network under construction, and the tensors that do not start the default way. */
export interface Draft {
  layers: Layer[]
  init: Record<string, Init>
}

const smallNormal: Init = { kind: 'normal', std: 0.01 }

/** 'imagenet': 7x7 stride 2 and a max-pool; 'cifar': 3x3 stride 1. */
export function stem(draft: Draft, kind: 'imagenet' | 'cifar', out: number): string {
  const large = kind === 'imagenet'
  conv(draft, 'conv1', INPUT, out, large ? { kernel: 7, stride: 2, padding: 3 } : { kernel: 3, padding: 1 })
  batchNorm(draft, 'bn1', 'conv1')
  relu(draft, 'act1', 'bn1')
  return large ? append(draft, { op: 'max_pool', name: 'maxpool', inputs: ['act1'], kernel: 3, stride: 2, padding: 1 }) : 'act1'
}

/** 1x1 reduce, unit (which carries the stride), 1x1 expand, plus the shortcut; projected where the shapes differ (FACTS 1.2). */
export function bottleneck(draft: Draft, block: Bottleneck): string {
  const { name, from, inChannels, out, stride, unit } = block
  const residual = unit.kind === 'sk' ? skResidual(draft, block, unit) : convResidual(draft, block, unit)
  const projected = stride !== 1 || inChannels !== out
  if (projected) {
    conv(draft, `${name}.downsample.0`, from, out, { stride })
    batchNorm(draft, `${name}.downsample.1`, `${name}.downsample.0`)
  }
  append(draft, { op: 'add', name: `${name}.add`, inputs: [residual, projected ? `${name}.downsample.1` : from] })
  return relu(draft, unit.kind === 'sk' ? `${name}.act` : `${name}.act3`, `${name}.add`)
}

/** Global average pool and the classifier. */
export function head(draft: Draft, from: string, classes: number): void {
  append(draft, { op: 'global_avg_pool', name: 'global_pool', inputs: [from] })
  append(draft, { op: 'linear', name: 'fc', inputs: ['global_pool'], out: classes, bias: true })
  draft.init['fc.weight'] = smallNormal
}

function skResidual(draft: Draft, { name, from, mid, out, stride }: Bottleneck, unit: Extract<Unit, { kind: 'sk' }>): string {
  conv(draft, `${name}.conv1.conv`, from, mid)
  batchNorm(draft, `${name}.conv1.bn`, `${name}.conv1.conv`)
  relu(draft, `${name}.conv1.act`, `${name}.conv1.bn`)
  const attention = unit.attention && { width: Math.max(Math.floor(mid / unit.attention.reduction), unit.attention.minWidth) }
  const sk = `${name}.conv2`
  append(draft, {
    op: 'sk_unit',
    name: sk,
    inputs: [`${name}.conv1.act`],
    out: mid,
    stride,
    branches: unit.branches.map((b) => ({ ...b })),
    attention,
    ...NORM,
  })
  if (attention !== null) {
    draft.init[`${sk}.attn.fc_reduce.weight`] = smallNormal
    draft.init[`${sk}.attn.fc_select.weight`] = smallNormal
  }
  conv(draft, `${name}.conv3.conv`, sk, out)
  return batchNorm(draft, `${name}.conv3.bn`, `${name}.conv3.conv`)
}

function convResidual(draft: Draft, { name, from, mid, out, stride }: Bottleneck, unit: Extract<Unit, { kind: 'conv' }>): string {
  conv(draft, `${name}.conv1`, from, mid)
  batchNorm(draft, `${name}.bn1`, `${name}.conv1`)
  relu(draft, `${name}.act1`, `${name}.bn1`)
  conv(draft, `${name}.conv2`, `${name}.act1`, mid, { kernel: 3, stride, padding: 1, groups: unit.groups })
  batchNorm(draft, `${name}.bn2`, `${name}.conv2`)
  relu(draft, `${name}.act2`, `${name}.bn2`)
  conv(draft, `${name}.conv3`, `${name}.act2`, out)
  const expanded = batchNorm(draft, `${name}.bn3`, `${name}.conv3`)
  return unit.se === null ? expanded : squeezeExcite(draft, `${name}.se`, expanded, out, Math.max(1, Math.floor(out / unit.se)))
}

/** Squeeze and excitation; both fully connected layers are 1x1 convolutions with bias, as in timm. */
function squeezeExcite(draft: Draft, name: string, from: string, channels: number, width: number): string {
  append(draft, { op: 'global_avg_pool', name: `${name}.pool`, inputs: [from] })
  conv(draft, `${name}.fc1`, `${name}.pool`, width, { bias: true })
  relu(draft, `${name}.act`, `${name}.fc1`)
  conv(draft, `${name}.fc2`, `${name}.act`, channels, { bias: true })
  append(draft, { op: 'sigmoid', name: `${name}.gate`, inputs: [`${name}.fc2`] })
  return append(draft, { op: 'channel_scale', name: `${name}.scale`, inputs: [from, `${name}.gate`] })
}

function conv(draft: Draft, name: string, from: string, out: number, rest: Partial<Conv2dLayer> = {}): string {
  const plain = { kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1, bias: false }
  return append(draft, { op: 'conv2d', name, inputs: [from], out, ...plain, ...rest })
}

function batchNorm(draft: Draft, name: string, from: string): string {
  return append(draft, { op: 'batch_norm', name, inputs: [from], ...NORM })
}

function relu(draft: Draft, name: string, from: string): string {
  return append(draft, { op: 'relu', name, inputs: [from] })
}

function append(draft: Draft, layer: Layer): string {
  draft.layers.push(layer)
  return layer.name
}
