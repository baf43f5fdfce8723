/**
 * The parts of the residual networks: stem, bottleneck (around a plain grouped convolution, with or without SE, or around an SK unit), basic
 * block. Names are timm's. A part appends its layers and returns the name of its output.
 */
import { add, append, batchNorm, conv, relu, skUnit, squeezeExcite } from './draft.js'
import type { Draft, SkUnit } from './draft.js'

/** What stands between the two 1x1 convolutions of a bottleneck. */
export type Unit = ConvUnit | ({ kind: 'sk' } & SkUnit)

export interface ConvUnit {
  kind: 'conv'
  groups: number
  /** SE's reduction, or null for a plain bottleneck. */
  se: number | null
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

export interface Stem {
  /** 'imagenet': 7x7 stride 2 and a max-pool; 'cifar': 3x3 stride 1. */
  kind: 'imagenet' | 'cifar'
  /** 'ceil': the pool without padding, its last window cut (Caffe); the same size where the image's is a multiple of four. */
  pool: 'padded' | 'ceil'
}

/** `prefix` goes before the names of its layers. */
export function stem(draft: Draft, { kind, pool }: Stem, from: string, out: number, prefix = ''): string {
  const large = kind === 'imagenet'
  conv(draft, `${prefix}conv1`, from, out, large ? { kernel: 7, stride: 2, padding: 3 } : { kernel: 3, padding: 1 })
  const active = relu(draft, `${prefix}act1`, batchNorm(draft, `${prefix}bn1`, `${prefix}conv1`))
  if (!large) return active
  const window = pool === 'ceil' ? { padding: 0, ceil: true } : { padding: 1 }
  return append(draft, { op: 'max_pool', name: `${prefix}maxpool`, inputs: [active], kernel: 3, stride: 2, ...window })
}

/** 1x1 reduce, unit (which carries the stride), 1x1 expand, plus the shortcut; projected where the shapes differ (FACTS 1.2). */
export function bottleneck(draft: Draft, block: Bottleneck): string {
  const { name, unit } = block
  const residual = unit.kind === 'sk' ? skResidual(draft, block, unit) : convResidual(draft, block, unit)
  add(draft, `${name}.add`, residual, shortcut(draft, block))
  return relu(draft, unit.kind === 'sk' ? `${name}.act` : `${name}.act3`, `${name}.add`)
}

/** Bottlenecks around the SK unit of their stage, and around grouped 3x3 convolutions, as buildNetwork takes them. */
export function skBlocks(unitOf: (stage: number) => SkUnit) {
  return (draft: Draft, place: Omit<Bottleneck, 'unit'>, stage: number): string =>
    bottleneck(draft, { ...place, unit: { kind: 'sk', ...unitOf(stage) } })
}

export function convBlocks(groups: number, se: number | null) {
  return (draft: Draft, place: Omit<Bottleneck, 'unit'>): string => bottleneck(draft, { ...place, unit: { kind: 'conv', groups, se } })
}

/** Two 3x3 convolutions, the first of them an SK unit with the stride, plus the shortcut: timm's skresnet18 and 34. */
export function skBasicBlock(draft: Draft, block: Omit<Bottleneck, 'mid' | 'unit'> & { unit: SkUnit }): string {
  const { name, from, out, stride, unit } = block
  skUnit(draft, `${name}.conv1`, from, out, stride, unit)
  conv(draft, `${name}.conv2.conv`, `${name}.conv1`, out, { kernel: 3, padding: 1 })
  batchNorm(draft, `${name}.conv2.bn`, `${name}.conv2.conv`)
  add(draft, `${name}.add`, `${name}.conv2.bn`, shortcut(draft, block))
  return relu(draft, `${name}.act`, `${name}.add`)
}

function shortcut(
  draft: Draft,
  { name, from, inChannels, out, stride }: Pick<Bottleneck, 'name' | 'from' | 'inChannels' | 'out' | 'stride'>,
) {
  if (stride === 1 && inChannels === out) return from
  conv(draft, `${name}.downsample.0`, from, out, { stride })
  return batchNorm(draft, `${name}.downsample.1`, `${name}.downsample.0`)
}

function skResidual(draft: Draft, { name, from, mid, out, stride }: Bottleneck, unit: SkUnit): string {
  conv(draft, `${name}.conv1.conv`, from, mid)
  batchNorm(draft, `${name}.conv1.bn`, `${name}.conv1.conv`)
  relu(draft, `${name}.conv1.act`, `${name}.conv1.bn`)
  skUnit(draft, `${name}.conv2`, `${name}.conv1.act`, mid, stride, unit)
  conv(draft, `${name}.conv3.conv`, `${name}.conv2`, out)
  return batchNorm(draft, `${name}.conv3.bn`, `${name}.conv3.conv`)
}

function convResidual(draft: Draft, { name, from, mid, out, stride }: Bottleneck, unit: ConvUnit): string {
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
