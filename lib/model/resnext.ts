/** The baselines on ImageNet (FACTS 1.3): ResNeXt 32x4d, and the same with squeeze and excitation. */
import { integer, optional } from '../check.js'
import { convBlocks } from './blocks.js'
import { buildNetwork, imagenetKeys, imagenetStem, sharedOptions } from './network.js'
import type { ImagenetOptions } from './network.js'
import { imagenetBlocks, imagenetWidths } from './sknet.js'
import type { ModelSpec } from './spec.js'

export interface SeResnextOptions extends ImagenetOptions {
  /** SE's reduction; default 16. */
  reduction?: number
}

/** `name` is what the spec is called. */
export function resnextSpec(depth: keyof typeof imagenetBlocks, options: ImagenetOptions = {}, name = `resnext${depth}_32x4d`): ModelSpec {
  const shared = sharedOptions(options, imagenetKeys, { ...imagenetWidths, blocks: imagenetBlocks[depth] })
  return buildNetwork(name, imagenetStem(options), shared, convBlocks(shared.groups, null))
}

export function seresnextSpec(depth: keyof typeof imagenetBlocks, options: SeResnextOptions = {}): ModelSpec {
  const shared = sharedOptions(options, [...imagenetKeys, 'reduction'], { ...imagenetWidths, blocks: imagenetBlocks[depth] })
  const se = optional(options.reduction, 16, (v) => integer('reduction', v))
  return buildNetwork(`seresnext${depth}_32x4d`, imagenetStem(options), shared, convBlocks(shared.groups, se))
}
