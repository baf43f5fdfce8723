/** The blocks that `defineModel` takes: functions from a few options to a block that knows its channels. */
import { badOption, boolean, integer, isObject, knownKeys, oneOf, optional, text } from '../check.js'
import { bottleneck as appendBottleneck, skBasicBlock, stem as appendStem } from './blocks.js'
import { append, classifier } from './draft.js'
import type { Draft, SkUnit } from './draft.js'
import { separable as appendSeparable } from './mobilenet.js'
import { layerError } from './shapes.js'
import { shuffleUnit as appendShuffleUnit } from './shufflenet.js'
import { skKeys, skUnitOf } from './sk-options.js'
import type { SkOptions } from './sk-options.js'
import { INPUT } from './spec.js'
import type { Layer } from './spec.js'

/** A part of a network that takes `in` channels and gives `out`. */
export interface Block<In extends number = number, Out extends number = number> {
  readonly in: In
  readonly out: Out
  /** What the names of its layers begin with; null: its place among the blocks. */
  readonly name: string | null
  /** Appends its layers, which read `from`, and returns the name of its output. */
  readonly build: (draft: Draft, name: string, from: string) => string
}

/** Channels in and out, and a name instead of `blockN`. */
interface Ends<In extends number, Out extends number> {
  in: In
  out: Out
  name?: string
}

interface Strided {
  /** 2 halves the image; default 1. */
  stride?: 1 | 2
}

interface Grouped {
  /** Groups of the 3x3 convolutions; default 1. */
  groups?: number
}

/** Default SK[2, groups, 16], L = 32; a block is of one stage, so minWidth is one number. */
type UnitOptions = Omit<SkOptions, 'minWidth'> & { minWidth?: number }

/** 'cifar' (the default): 3x3 of stride 1; 'imagenet': 7x7 of stride 2 and a max-pool. With BN and ReLU. */
export function stem<In extends number, Out extends number>(options: Ends<In, Out> & { kind?: 'cifar' | 'imagenet' }): Block<In, Out> {
  const { given, block } = open('stem', options, ['kind'])
  const kind = optional(given.kind, 'cifar', (v) => oneOf('stem.kind', v, ['cifar', 'imagenet']))
  return block((draft, name, from, { out }) => appendStem(draft, { kind, pool: 'padded' }, from, out, `${name}.`))
}

/** ResNeXt's: 1x1 to `mid`, grouped 3x3, 1x1 to `out`, around a shortcut; `se`: reduction of squeeze and excitation, default none. */
export function bottleneck<In extends number, Out extends number>(
  options: Ends<In, Out> & Strided & Grouped & { mid: number; se?: number },
): Block<In, Out> {
  const { given, count, stride, block } = open('bottleneck', options, ['mid', 'stride', 'groups', 'se'])
  const [mid, groups] = [count('mid'), count('groups', 1)]
  const se = given.se === undefined ? null : count('se')
  return block((draft, name, from, { in: inChannels, out }) =>
    appendBottleneck(draft, { name, from, inChannels, mid, out, stride, unit: { kind: 'conv', groups, se } }),
  )
}

/** SKNet's: the same around an SK unit. */
export function skBottleneck<In extends number, Out extends number>(
  options: Ends<In, Out> & Strided & Grouped & UnitOptions & { mid: number },
): Block<In, Out> {
  const { given, count, stride, block } = open('skBottleneck', options, ['mid', 'stride', 'groups', ...skKeys])
  const mid = count('mid')
  const unit = skUnitOf(given, count('groups', 1), 1)(0)
  return block((draft, name, from, { in: inChannels, out }) =>
    appendBottleneck(draft, { name, from, inChannels, mid, out, stride, unit: { kind: 'sk', ...unit } }),
  )
}

/** timm's skresnet18: an SK unit and a 3x3 convolution around a shortcut. */
export function skBasic<In extends number, Out extends number>(options: Ends<In, Out> & Strided & Grouped & UnitOptions): Block<In, Out> {
  const { given, count, stride, block } = open('skBasic', options, ['stride', 'groups', ...skKeys])
  const unit = skUnitOf(given, count('groups', 1), 1)(0)
  return block((draft, name, from, { in: inChannels, out }) => skBasicBlock(draft, { name, from, inChannels, out, stride, unit }))
}

/** ShuffleNetV2's; at stride 1 half of the channels pass through, so `in` is `out`. `sk`: an SK unit for the depthwise convolution. */
export function shuffleUnit<In extends number, Out extends number>(options: Ends<In, Out> & Strided & { sk?: boolean }): Block<In, Out> {
  const { sk, stride, block } = openDepthwise('shuffleUnit', options)
  return block((draft, name, from, { in: inChannels, out }) => {
    if (out % 2 !== 0) throw layerError(name, `its out is ${out}`, out, 'an even number of channels')
    if (stride === 1 && (inChannels as number) !== out) {
      throw layerError(name, `at stride 1 it takes ${inChannels} channels and gives ${out}`, inChannels, 'as many in as out')
    }
    return appendShuffleUnit(draft, { name, from, inChannels, out, down: stride === 2, extra: { sk, se: null } })
  })
}

/** MobileNet's: depthwise 3x3 (or an SK unit, with `sk`), then 1x1, each with BN and ReLU. */
export function separable<In extends number, Out extends number>(options: Ends<In, Out> & Strided & { sk?: boolean }): Block<In, Out> {
  const { sk, stride, block } = openDepthwise('separable', options)
  return block((draft, name, from, { in: channels, out }) => appendSeparable(draft, { name, from, channels, out, stride, sk }))
}

/** Global average and the linear classifier, called `fc`; `out` is the number of classes. */
export function head<In extends number, Out extends number>(options: Ends<In, Out>): Block<In, Out> {
  return open('head', options, []).block((draft, _name, from, { out }) => classifier(draft, from, out))
}

/**
 * Layers one by one. They read 'input', the block's, and each other by their own names, which are put behind the block's; the last one is the
 * output.
 */
export function layers<In extends number, Out extends number>(options: Ends<In, Out> & { layers: Layer[] }): Block<In, Out> {
  const { given, block } = open('layers', options, ['layers'])
  const own = given.layers
  if (!Array.isArray(own) || own.length === 0 || !own.every(isLayerLike)) {
    badOption('layers.layers', own, 'a list of layers with op, name and inputs')
  }
  const copies = structuredClone(own) as Layer[]
  return block((draft, name, from) => {
    const called = (input: string) => (input === INPUT ? from : `${name}.${input}`)
    for (const layer of copies) append(draft, { ...layer, name: `${name}.${layer.name}`, inputs: layer.inputs.map(called) })
    return `${name}.${copies.at(-1)!.name}`
  })
}

function isLayerLike(layer: unknown): boolean {
  return isObject(layer) && typeof layer.name === 'string' && Array.isArray(layer.inputs)
}

type Build<In extends number, Out extends number> = (draft: Draft, name: string, from: string, ends: { in: In; out: Out }) => string

/** What all blocks do with their options: check the keys and the channels, and hold them. Throws ERR_SKNET_OPTION with the block's kind. */
function open<In extends number, Out extends number, K extends string>(kind: string, options: Ends<In, Out>, keys: readonly K[]) {
  const given = knownKeys<K | 'in' | 'out' | 'name'>(kind, options, ['in', 'out', 'name', ...keys])
  const count = (key: K | 'in' | 'out', fallback?: number) =>
    fallback !== undefined && given[key] === undefined ? fallback : integer(`${kind}.${key}`, given[key], { min: 1, max: 1 << 20 })
  const ends = { in: count('in') as In, out: count('out') as Out }
  const name = given.name === undefined ? null : text(`${kind}.name`, given.name)
  const { stride: wanted } = given as { stride?: unknown }
  const stride = optional(wanted, 1, (v) => integer(`${kind}.stride`, v, { min: 1, max: 2 }))
  const block = (build: Build<In, Out>): Block<In, Out> => ({
    ...ends,
    name,
    build: (draft, called, from) => build(draft, called, from, ends),
  })
  return { given, count, stride, block }
}

function openDepthwise<In extends number, Out extends number>(kind: string, options: Ends<In, Out>) {
  const { given, ...opened } = open(kind, options, ['stride', 'sk'])
  const wanted = optional(given.sk, false, (v) => boolean(`${kind}.sk`, v))
  const sk: SkUnit | null = wanted ? skUnitOf({}, 'depthwise', 1)(0) : null
  return { ...opened, sk }
}
