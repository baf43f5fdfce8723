/** The one builder behind every residual network: a stem, stages of blocks that halve the image and double the channels, a head. */
import { stem } from './blocks.js'
import type { Bottleneck, Stem } from './blocks.js'
import { integer, knownKeys, list, oneOf, optional } from '../check.js'
import { classifier } from './draft.js'
import type { Draft } from './draft.js'
import { INPUT } from './spec.js'
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

export interface ImagenetOptions extends NetworkOptions {
  /** The stem's max-pool: 'padded' as in PyTorch, 'ceil' as the paper's Caffe models have it. */
  stemPool?: 'padded' | 'ceil'
}

export const networkKeys = ['classes', 'blocks', 'stemWidth', 'midWidth', 'outWidth', 'groups', 'seed'] as const

export const imagenetKeys = [...networkKeys, 'stemPool'] as const

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

/** The stem of the networks for ImageNet; throws ERR_SKNET_OPTION. */
export function imagenetStem(options: unknown): Stem {
  const { stemPool } = (options ?? {}) as ImagenetOptions
  return { kind: 'imagenet', pool: optional(stemPool, 'padded', (v) => oneOf('stemPool', v, ['padded', 'ceil'])) }
}

/** One block of a network: where it stands, and the channels and the stride that it has there. `stage` counts from 0. */
export type BuildBlock = (draft: Draft, place: Omit<Bottleneck, 'unit'>, stage: number) => string

/** The checked spec; throws ERR_SKNET_MODEL where the options do not fit together, such as groups that do not divide the channels. */
export function buildNetwork(arch: string, first: Stem, options: Shared, block: BuildBlock): ModelSpec {
  const draft: Draft = { layers: [], init: {} }
  let from = stem(draft, first, INPUT, options.stemWidth)
  let inChannels = options.stemWidth
  options.blocks.forEach((count, stage) => {
    const mid = options.midWidth * 2 ** stage
    const out = options.outWidth * 2 ** stage
    for (let i = 0; i < count; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1
      from = block(draft, { name: `layer${stage + 1}.${i}`, from, inChannels, mid, out, stride }, stage)
      inChannels = out
    }
  })
  classifier(draft, from, options.classes)
  const input = { channels: 3, size: first.kind === 'imagenet' ? 224 : 32 }
  return checkSpec({ format: 'sknet-model-1', arch, classes: options.classes, input, layers: draft.layers, init: draft.init })
}
