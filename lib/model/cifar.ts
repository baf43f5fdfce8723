/** Networks for 32x32 images (FACTS 1.10): a 3x3 stem and three stages of bottlenecks, around SK units, plain convolutions or SE. */
import { integer, isObject, oneOf, optional } from '../check.js'
import { convBlocks, skBlocks } from './blocks.js'
import type { Stem } from './blocks.js'
import { buildNetwork, networkKeys, sharedOptions } from './network.js'
import type { NetworkOptions, Shared } from './network.js'
import { skKeys, skUnitOf } from './sk-options.js'
import type { SkOptions } from './sk-options.js'
import type { ModelSpec } from './spec.js'

export interface CifarOptions extends NetworkOptions, SkOptions {
  /** 'sk': SK units. 'conv': ResNeXt's grouped 3x3 convolution. 'se': the same with squeeze and excitation. */
  unit?: 'sk' | 'conv' | 'se'
}

interface Defaults extends Shared {
  unit: 'sk' | 'conv' | 'se'
  minWidth: number
}

/**
 * SK[2, 32, 16] on the 16x32d layout: two branches of 32 groups share what 16 groups cost. The paper's 27.7M parameters follow from no
 * reading of it; this one has 28.3M (FACTS 1.10).
 */
const sknet29: Defaults = {
  classes: 10,
  blocks: [3, 3, 3],
  stemWidth: 64,
  midWidth: 512,
  outWidth: 256,
  groups: 32,
  unit: 'sk',
  minWidth: 32,
}

/** The named networks; each takes CifarOptions over its own defaults. */
export const cifarDefaults = {
  sknet29_cifar: sknet29,
  resnext29_16x32d_cifar: { ...sknet29, unit: 'conv', groups: 16 },
  resnext29_8x64d_cifar: { ...sknet29, unit: 'conv', groups: 8 },
  resnext29_16x64d_cifar: { ...sknet29, unit: 'conv', groups: 16, midWidth: 1024 },
  senet29_cifar: { ...sknet29, unit: 'se', groups: 8 },
  sknet_tiny_cifar: { ...sknet29, blocks: [2, 2, 2], stemWidth: 32, midWidth: 32, outWidth: 64, groups: 8, minWidth: 16 },
} as const satisfies Record<string, Defaults>

export type CifarName = keyof typeof cifarDefaults

const unitKeys = { sk: skKeys, conv: [], se: ['reduction'] } as const

/** `arch` with its defaults changed by `options`; `name` is what the spec is called. Throws ERR_SKNET_OPTION or ERR_SKNET_MODEL. */
export function cifarSpec(arch: CifarName, options: CifarOptions = {}, name: string = arch): ModelSpec {
  const defaults: Defaults = { ...cifarDefaults[arch], blocks: [...cifarDefaults[arch].blocks] }
  const unit = optional(isObject(options) ? options.unit : undefined, defaults.unit, (v) => oneOf('unit', v, ['sk', 'conv', 'se']))
  const shared = sharedOptions(options, [...networkKeys, 'unit', ...unitKeys[unit]], defaults)
  const first: Stem = { kind: 'cifar', pool: 'padded' }
  if (unit === 'sk') {
    const unitOf = skUnitOf(options, shared.groups, shared.blocks.length, { minWidth: defaults.minWidth })
    return buildNetwork(name, first, shared, skBlocks(unitOf))
  }
  const se = unit === 'se' ? optional(options.reduction, 16, (v) => integer('reduction', v)) : null
  return buildNetwork(name, first, shared, convBlocks(shared.groups, se))
}
