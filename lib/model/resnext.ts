/** The baselines on ImageNet (FACTS 1.3): ResNeXt 32x4d, and the same with squeeze and excitation. */
import { integer, optional } from '../check.js'
import { buildNetwork, networkKeys, sharedOptions } from './network.js'
import type { NetworkOptions } from './network.js'
import { imagenetBlocks, imagenetWidths } from './sknet.js'
import type { ModelSpec } from './spec.js'

export interface SeResnextOptions extends NetworkOptions {
  /** SE's reduction; default 16. */
  reduction?: number
}

export function resnextSpec(depth: keyof typeof imagenetBlocks, options: NetworkOptions = {}): ModelSpec {
  const shared = sharedOptions(options, networkKeys, { ...imagenetWidths, blocks: imagenetBlocks[depth] })
  return buildNetwork(`resnext${depth}_32x4d`, 'imagenet', shared, { kind: 'conv', groups: shared.groups, se: null })
}

export function seresnextSpec(depth: 50 | 101, options: SeResnextOptions = {}): ModelSpec {
  const shared = sharedOptions(options, [...networkKeys, 'reduction'], { ...imagenetWidths, blocks: imagenetBlocks[depth] })
  const se = optional(options.reduction, 16, (v) => integer('reduction', v))
  return buildNetwork(`seresnext${depth}_32x4d`, 'imagenet', shared, { kind: 'conv', groups: shared.groups, se })
}
