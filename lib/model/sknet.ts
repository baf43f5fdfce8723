/** SKNet-26, 50 and 101 (paper table 1, FACTS 1.2): ResNeXt 32x4d with an SK unit in place of the 3x3 convolution. */
import { skBlocks } from './blocks.js'
import { buildNetwork, imagenetKeys, imagenetStem, sharedOptions } from './network.js'
import type { ImagenetOptions } from './network.js'
import { skKeys, skUnitOf } from './sk-options.js'
import type { SkOptions } from './sk-options.js'
import type { ModelSpec } from './spec.js'

export interface SknetOptions extends ImagenetOptions, SkOptions {}

/** Blocks of stages 1 to 4. */
export const imagenetBlocks = { 26: [2, 2, 2, 2], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3] }

export const imagenetWidths = { classes: 1000, stemWidth: 64, midWidth: 128, outWidth: 256, groups: 32 }

/** SK[2, 32, 16] unless the options say otherwise; `name` is what the spec is called. */
export function sknetSpec(depth: keyof typeof imagenetBlocks, options: SknetOptions = {}, name = `sknet${depth}`): ModelSpec {
  const shared = sharedOptions(options, [...imagenetKeys, ...skKeys], { ...imagenetWidths, blocks: imagenetBlocks[depth] })
  const unitOf = skUnitOf(options, shared.groups, shared.blocks.length)
  return buildNetwork(name, imagenetStem(options), shared, skBlocks(unitOf))
}
