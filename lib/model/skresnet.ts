/**
 * timm's skresnet18, 34 and 50: not the paper's networks, but those its published weights are of. Convolutions have one group; to keep the
 * parameters few, each of the two branches reads half of the channels (FACTS 1.4).
 */
import { skBasicBlock, skBlocks } from './blocks.js'
import { buildNetwork, imagenetKeys, imagenetStem, sharedOptions } from './network.js'
import type { BuildBlock } from './network.js'
import { skKeys, skUnitOf } from './sk-options.js'
import type { SknetOptions } from './sknet.js'
import type { ModelSpec } from './spec.js'

const layouts = {
  18: { blocks: [2, 2, 2, 2], outWidth: 64, reduction: 8, minWidth: 16 },
  34: { blocks: [3, 4, 6, 3], outWidth: 64, reduction: 8, minWidth: 16 },
  50: { blocks: [3, 4, 6, 3], outWidth: 256, reduction: 16, minWidth: 8 },
}

/** 18 and 34 are of basic blocks, where only outWidth counts; 50 is of bottlenecks. */
export function skresnetSpec(depth: keyof typeof layouts, options: SknetOptions = {}): ModelSpec {
  const { reduction, minWidth, ...widths } = layouts[depth]
  const basic = depth !== 50
  const keys = [...imagenetKeys, ...skKeys].filter((key) => !basic || key !== 'midWidth')
  const shared = sharedOptions(options, keys, { classes: 1000, stemWidth: 64, midWidth: 64, groups: 1, ...widths })
  const unitOf = skUnitOf(options, shared.groups, shared.blocks.length, { reduction, minWidth, splitInput: true })
  const block: BuildBlock = (draft, place, stage) => skBasicBlock(draft, { ...place, unit: unitOf(stage) })
  return buildNetwork(`skresnet${depth}`, imagenetStem(options), shared, basic ? block : skBlocks(unitOf))
}
