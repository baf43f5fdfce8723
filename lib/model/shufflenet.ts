/**
 * ShuffleNetV2 (FACTS 1.9) under torchvision's names, plain and with two units put in: squeeze and excitation behind the main branch, or an SK
 * unit in place of its depthwise convolution. The paper publishes neither where they stand nor its own 1.0x; both are our reading.
 */
import { integer, knownKeys, list, optional } from '../check.js'
import { append, batchNorm, classifier, conv, relu, skUnit, squeezeExcite } from './draft.js'
import type { Draft, SkUnit } from './draft.js'
import { skKeys, skUnitOf } from './sk-options.js'
import type { SkOptions } from './sk-options.js'
import { INPUT } from './spec.js'
import type { ModelSpec } from './spec.js'
import { checkSpec } from './validate.js'

/** Of the SK options a plain network takes none, one with SE takes reduction and minWidth (one number). */
export interface ShufflenetOptions extends Omit<SkOptions, 'splitInput'> {
  classes?: number
  /** Units of each stage. */
  blocks?: number[]
  stemWidth?: number
  /** Channels after the first stage; each later stage has twice as many. */
  outWidth?: number
  /** Channels before the head. */
  headWidth?: number
  /** Decides the fresh weights; default 0. */
  seed?: number
}

export type ShufflenetUnit = 'plain' | 'se' | 'sk'

const unitKeys = { plain: [], se: ['reduction', 'minWidth'], sk: skKeys.filter((key) => key !== 'splitInput') } as const

/** What a unit adds to the main branch. */
interface Extra {
  sk: SkUnit | null
  /** Width of SE for a number of channels. */
  se: ((channels: number) => number) | null
}

/** `outWidth`: 48 (0.5x) or 116 (1.0x) unless the options say otherwise; SE and SK both reduce by 16 to at least 32 channels. */
export function shufflenetSpec(arch: string, outWidth: number, unit: ShufflenetUnit, options: ShufflenetOptions = {}): ModelSpec {
  const given = knownKeys('', options, ['classes', 'blocks', 'stemWidth', 'outWidth', 'headWidth', 'seed', ...unitKeys[unit]])
  const count = (key: keyof typeof given, fallback: number) =>
    optional(given[key], fallback, (v) => integer(key, v, { min: 1, max: 1 << 20 }))
  optional(given.seed, 0, (v) => integer('seed', v, { min: 0 }))
  const blocks = optional(given.blocks, [4, 8, 4], (v) =>
    list('blocks', v, (o, n) => integer(o, n, { min: 1, max: 256 }), { min: 1, max: 8 }),
  )
  const classes = count('classes', 1000)
  const width = count('outWidth', outWidth)
  const extra = extraOf(unit, options, blocks.length)

  const draft: Draft = { layers: [], init: {} }
  let inChannels = count('stemWidth', 24)
  convNorm(draft, 'conv1.0', 'conv1.1', INPUT, inChannels, { kernel: 3, stride: 2, padding: 1 })
  relu(draft, 'conv1.2', 'conv1.1')
  let from = append(draft, { op: 'max_pool', name: 'maxpool', inputs: ['conv1.2'], kernel: 3, stride: 2, padding: 1 })
  blocks.forEach((units, stage) => {
    const out = width * 2 ** stage
    for (let i = 0; i < units; i++) {
      from = shuffleUnit(draft, { name: `stage${stage + 2}.${i}`, from, inChannels, out, down: i === 0, extra: extra(stage) })
      inChannels = out
    }
  })
  convNorm(draft, 'conv5.0', 'conv5.1', from, count('headWidth', 1024))
  classifier(draft, relu(draft, 'conv5.2', 'conv5.1'), classes)
  return checkSpec({ format: 'sknet-model-1', arch, classes, input: { channels: 3, size: 224 }, layers: draft.layers, init: draft.init })
}

function extraOf(unit: ShufflenetUnit, options: ShufflenetOptions, stages: number): (stage: number) => Extra {
  if (unit === 'plain') return () => ({ sk: null, se: null })
  if (unit === 'se') {
    const least = optional(options.minWidth, 32, (v) => integer('minWidth', v))
    const reduction = optional(options.reduction, 16, (v) => integer('reduction', v))
    return () => ({ sk: null, se: (channels) => Math.max(Math.floor(channels / reduction), least) })
  }
  const unitOf = skUnitOf(options, 'depthwise', stages)
  return (stage) => ({ se: null, sk: unitOf(stage) })
}

interface UnitPlace {
  name: string
  from: string
  inChannels: number
  out: number
  /** The first unit of a stage halves the image; both branches read all channels there. */
  down: boolean
  extra: Extra
}

/** Half of the channels pass through, or both halves are made from all; the halves are then shuffled together. */
export function shuffleUnit(draft: Draft, { name, from, inChannels, out, down, extra }: UnitPlace): string {
  const half = out / 2
  const [kept, worked] = down
    ? [downBranch(draft, `${name}.branch1`, from, inChannels, half), from]
    : [slice(draft, `${name}.kept`, from, 0, half), slice(draft, `${name}.worked`, from, half, half)]
  const main = mainBranch(draft, `${name}.branch2`, worked, half, down ? 2 : 1, extra)
  append(draft, { op: 'concat', name: `${name}.concat`, inputs: [kept, main] })
  return append(draft, { op: 'channel_shuffle', name: `${name}.shuffle`, inputs: [`${name}.concat`], groups: 2 })
}

/** Depthwise 3x3 of stride 2, then 1x1. */
function downBranch(draft: Draft, name: string, from: string, channels: number, out: number): string {
  const depthwise = convNorm(draft, `${name}.0`, `${name}.1`, from, channels, { kernel: 3, stride: 2, padding: 1, groups: channels })
  return relu(draft, `${name}.4`, convNorm(draft, `${name}.2`, `${name}.3`, depthwise, out))
}

/** 1x1, depthwise 3x3 (or the SK unit), 1x1. */
function mainBranch(draft: Draft, name: string, from: string, out: number, stride: number, { sk, se }: Extra): string {
  const first = relu(draft, `${name}.2`, convNorm(draft, `${name}.0`, `${name}.1`, from, out))
  const depthwise =
    sk === null
      ? convNorm(draft, `${name}.3`, `${name}.4`, first, out, { kernel: 3, stride, padding: 1, groups: out })
      : skUnit(draft, `${name}.3`, first, out, stride, sk)
  const last = relu(draft, `${name}.7`, convNorm(draft, `${name}.5`, `${name}.6`, depthwise, out))
  return se === null ? last : squeezeExcite(draft, `${name}.se`, last, out, se(out))
}

function convNorm(draft: Draft, name: string, norm: string, from: string, out: number, rest: Parameters<typeof conv>[4] = {}): string {
  return batchNorm(draft, norm, conv(draft, name, from, out, rest))
}

function slice(draft: Draft, name: string, from: string, first: number, out: number): string {
  return append(draft, { op: 'channel_slice', name, inputs: [from], first, out })
}
