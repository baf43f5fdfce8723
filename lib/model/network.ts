/** The one builder behind every network: a stem, stages of bottlenecks that halve the image and double the channels, a head. */
import { bottleneck, head, stem } from './blocks.js'
import type { Draft, Unit } from './blocks.js'
import { integer, knownKeys, list, optional } from '../check.js'
import type { ModelSpec } from './spec.js'
import { checkSpec } from './validate.js'

/** Options that every network takes; each has its own defaults. */
export interface NetworkOptions {
  /** Classes of the head. */
  classes?: number
  /** Bottlenecks of each stage. */
  blocks?: number[]
  /** Channels after the stem. */
  stemWidth?: number
  /** Channels inside the first stage's bottlenecks; each later stage has twice as many. */
  midWidth?: number
  /** Channels after the first stage; each later stage has twice as many. */
  outWidth?: number
  /** Groups of the 3x3 convolutions. */
  groups?: number
  /** Decides the fresh weights; default 0. */
  seed?: number
}

export const networkKeys = ['classes', 'blocks', 'stemWidth', 'midWidth', 'outWidth', 'groups', 'seed'] as const

export type Shared = Required<Omit<NetworkOptions, 'seed'>>

/** Options of all networks checked and completed; throws ERR_SKNET_OPTION. `keys` are all the network's options. */
export function sharedOptions(options: unknown, keys: readonly string[], defaults: Shared): Shared {
  const given = knownKeys('', options, keys)
  const count = (key: keyof Shared, fallback: number) => optional(given[key], fallback, (v) => integer(key, v, { min: 1, max: 1 << 20 }))
  optional(given.seed, 0, (v) => integer('seed', v, { min: 0 }))
  return {
    classes: count('classes', defaults.classes),
    blocks: optional(given.blocks, defaults.blocks, (v) =>
      list('blocks', v, (o, n) => integer(o, n, { min: 1, max: 256 }), { min: 1, max: 8 }),
    ),
    stemWidth: count('stemWidth', defaults.stemWidth),
    midWidth: count('midWidth', defaults.midWidth),
    outWidth: count('outWidth', defaults.outWidth),
    groups: count('groups', defaults.groups),
  }
}

/** The checked spec; throws ERR_SKNET_MODEL where the options do not fit together, such as groups that do not divide the channels. */
export function buildNetwork(arch: string, kind: 'imagenet' | 'cifar', options: Shared, unit: Unit): ModelSpec {
  const draft: Draft = { layers: [], init: {} }
  let from = stem(draft, kind, options.stemWidth)
  let inChannels = options.stemWidth
  options.blocks.forEach((count, stage) => {
    const mid = options.midWidth * 2 ** stage
    const out = options.outWidth * 2 ** stage
    for (let i = 0; i < count; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1
      from = bottleneck(draft, { name: `layer${stage + 1}.${i}`, from, inChannels, mid, out, stride, unit })
      inChannels = out
    }
  })
  head(draft, from, options.classes)
  const input = { channels: 3, size: kind === 'imagenet' ? 224 : 32 }
  return checkSpec({ format: 'sknet-model-1', arch, classes: options.classes, input, layers: draft.layers, init: draft.init })
}
