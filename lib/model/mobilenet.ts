/**
 * MobileNetV1 (Howard et al., arXiv 1704.04861, table 1), and the same with SK units in place of its depthwise convolutions: an extension of
 * the paper's remark that SK fits there, for which it publishes no figure (FACTS 1.9). ReLU, not ReLU6: weights of other libraries do not fit.
 */
import { integer, knownKeys, list, optional } from '../check.js'
import { batchNorm, classifier, conv, relu, skUnit } from './draft.js'
import type { Draft, SkUnit } from './draft.js'
import { skKeys, skUnitOf } from './sk-options.js'
import type { SkOptions } from './sk-options.js'
import { INPUT } from './spec.js'
import type { ModelSpec } from './spec.js'
import { checkSpec } from './validate.js'

/** A plain network takes none of the SK options. */
export interface MobilenetOptions extends Omit<SkOptions, 'splitInput'> {
  classes?: number
  /** Blocks of each stage; all stages but the first halve the image. */
  blocks?: number[]
  stemWidth?: number
  /** Channels after the first stage; each later stage has twice as many. */
  outWidth?: number
  /** Decides the fresh weights; default 0. */
  seed?: number
}

export function mobilenetSpec(arch: string, unit: 'plain' | 'sk', options: MobilenetOptions = {}): ModelSpec {
  const own = unit === 'sk' ? skKeys.filter((key) => key !== 'splitInput') : []
  const given = knownKeys('', options, ['classes', 'blocks', 'stemWidth', 'outWidth', 'seed', ...own])
  const count = (key: keyof typeof given, fallback: number) =>
    optional(given[key], fallback, (v) => integer(key, v, { min: 1, max: 1 << 20 }))
  optional(given.seed, 0, (v) => integer('seed', v, { min: 0 }))
  const blocks = optional(given.blocks, [1, 2, 2, 6, 2], (v) =>
    list('blocks', v, (o, n) => integer(o, n, { min: 1, max: 256 }), { min: 1, max: 8 }),
  )
  const classes = count('classes', 1000)
  const outWidth = count('outWidth', 64)
  const unitOf = unit === 'sk' ? skUnitOf(options, 'depthwise', blocks.length) : null

  const draft: Draft = { layers: [], init: {} }
  let channels = count('stemWidth', 32)
  conv(draft, 'conv1', INPUT, channels, { kernel: 3, stride: 2, padding: 1 })
  let from = relu(draft, 'act1', batchNorm(draft, 'bn1', 'conv1'))
  let number = 0
  blocks.forEach((units, stage) => {
    for (let i = 0; i < units; i++) {
      const name = `blocks.${number++}`
      const stride = stage > 0 && i === 0 ? 2 : 1
      const out = outWidth * 2 ** stage
      from = separable(draft, { name, from, channels, out, stride, sk: unitOf === null ? null : unitOf(stage) })
      channels = out
    }
  })
  classifier(draft, from, classes)
  return checkSpec({ format: 'sknet-model-1', arch, classes, input: { channels: 3, size: 224 }, layers: draft.layers, init: draft.init })
}

export interface Separable {
  name: string
  from: string
  channels: number
  out: number
  stride: number
  /** In place of the depthwise convolution, or null. */
  sk: SkUnit | null
}

/** Depthwise 3x3 (or the SK unit), then 1x1, each with BN and ReLU. */
export function separable(draft: Draft, { name, from, channels, out, stride, sk }: Separable): string {
  const depthwise = `${name}.conv_dw`
  let middle: string
  if (sk === null) {
    conv(draft, depthwise, from, channels, { kernel: 3, stride, padding: 1, groups: channels })
    middle = relu(draft, `${name}.act1`, batchNorm(draft, `${name}.bn1`, depthwise))
  } else {
    middle = skUnit(draft, depthwise, from, channels, stride, sk)
  }
  conv(draft, `${name}.conv_pw`, middle, out)
  return relu(draft, `${name}.act2`, batchNorm(draft, `${name}.bn2`, `${name}.conv_pw`))
}
