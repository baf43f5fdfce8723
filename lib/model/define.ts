/**
 * Networks of one's own from blocks: each says how many channels it takes and gives, and `defineModel` holds neighbours to it. Where sizes are
 * literal numbers, blocks that do not fit are an error of the type checker; else ERR_SKNET_MODEL naming the block.
 */
import { badOption, describe, integer, isObject, text } from '../check.js'
import type { Block } from './define-blocks.js'
import type { Draft } from './draft.js'
import { inferShapes, layerError } from './shapes.js'
import { INPUT } from './spec.js'
import type { ModelSpec } from './spec.js'
import { checkSpec } from './validate.js'

/** What the type checker shows where two blocks do not fit. */
export interface ChannelsDiffer<Message extends string> {
  readonly error: Message
}

type Fits<B extends Block, Given extends number> = number extends Given | B['in']
  ? B
  : Given extends B['in']
    ? B
    : ChannelsDiffer<`This block takes ${B['in']} channels, but the one before it gives ${Given}`>

/** `B`, where each block takes the channels that the one before it gives. */
export type Joined<B extends readonly Block[], Given extends number = number> = B extends readonly [
  infer First extends Block,
  ...infer Rest extends readonly Block[],
]
  ? readonly [Fits<First, Given>, ...Joined<Rest, First['out']>]
  : B

export interface NetworkDefinition<B extends readonly Block[]> {
  /** The network's own name. */
  name: string
  /** Side of the images it is meant for; it runs on others, too. */
  size: number
  /** From the input's channels to the classes; the last is a head. */
  blocks: readonly [...B] & Joined<B>
}

/** The spec of a network of blocks. Layers are called `<block>.<layer>`, a block `block0`, `block1`, ... unless it has a name. */
export function specOfBlocks(value: unknown): ModelSpec {
  const given = isObject(value) ? value : badOption('network', value, 'an object with name, size and blocks')
  for (const key of Object.keys(given)) {
    if (!['name', 'size', 'blocks'].includes(key)) badOption(key, given[key], 'one of name, size, blocks')
  }
  const arch = text('name', given.name)
  const size = integer('size', given.size, { min: 1, max: 65536 })
  const { blocks } = given
  if (!Array.isArray(blocks) || blocks.length === 0) badOption('blocks', blocks, 'a list of blocks')
  const placed = place(blocks)

  const draft: Draft = { layers: [], init: {} }
  const ends = new Map<string, { block: string; out: number }>()
  let from = INPUT
  for (const { name, block } of placed) {
    from = block.build(draft, name, from)
    ends.set(from, { block: name, out: block.out })
  }
  const channels = placed[0]!.block.in
  const classes = placed.at(-1)!.block.out
  const spec = { format: 'sknet-model-1' as const, arch, classes, input: { channels, size }, layers: draft.layers, init: draft.init }
  // What a block says of itself may be wrong where its layers are given one by one.
  for (const [layer, shape] of inferShapes(spec)) {
    const end = ends.get(layer)
    if (end !== undefined && shape[2] !== end.out) {
      throw layerError(end.block, `its last layer ${layer} gives ${shape[2]} channels`, shape[2], `${end.out}, the block's out`)
    }
  }
  return checkSpec(spec)
}

/** Blocks with their names, each taking what the one before it gives. */
function place(blocks: readonly unknown[]): { name: string; block: Block }[] {
  const placed: { name: string; block: Block }[] = []
  blocks.forEach((value, i) => {
    if (!isBlock(value)) badOption(`blocks[${i}]`, value, 'a block, such as blocks.stem() gives')
    const name = value.name ?? `block${i}`
    const before = placed.at(-1)
    if (before !== undefined && before.block.out !== value.in) {
      const what = `it takes ${describe(value.in)} channels, but ${before.name} gives ${describe(before.block.out)}`
      throw layerError(name, what, value.in, `a block that takes ${before.block.out} channels`)
    }
    placed.push({ name, block: value })
  })
  return placed
}

function isBlock(value: unknown): value is Block {
  return isObject(value) && typeof value.build === 'function' && typeof value.in === 'number' && typeof value.out === 'number'
}
