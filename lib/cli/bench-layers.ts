/** The ops and units that `sknet bench --op` knows: their options, defaults and layers. */
import { badOption, integer, nearest, oneOf } from '../check.js'
import { bottleneck, type Unit } from '../model/blocks.js'
import type { Draft } from '../model/draft.js'
import { INPUT, type Layer, type SkBranch } from '../model/spec.js'
import { usageError, type Args, type Flag } from './command.js'

/** Options that shape an op; 0 where its kind has no such option. */
export interface OpShape {
  /** Side of the square input in pixels. */
  size: number
  /** Of the input. */
  channels: number
  /** Channels of the output. */
  out: number
  /** Channels between the two 1x1 convolutions of a bottleneck. */
  mid: number
  kernel: number
  stride: number
  dilation: number
  groups: number
  branches: number
  /** The attention of an SK unit has max(channels / reduction, 32) channels. */
  reduction: number
}

interface OpKind {
  /** Options it takes, with their defaults; `out` is `channels` and `mid` half of `out` where they are not given. */
  defaults: Partial<OpShape> & Pick<OpShape, 'size' | 'channels'>
  layers(shape: OpShape): Layer[]
}

/** Defaults that follow from the other options. */
const [OUT, MID] = [0, 0]
const NORM = { eps: 1e-5, momentum: 0.1 }
/** L of the paper. */
const MIN_WIDTH = 32

/** Defaults are shapes of the first stage of SKNet-50 and ResNeXt-50 at 224 x 224. */
const kinds = {
  sk_unit: {
    defaults: { size: 56, channels: 128, out: OUT, stride: 1, groups: 32, branches: 2, reduction: 16 },
    layers: ({ out, stride, groups, branches, reduction }) => [
      {
        op: 'sk_unit',
        name: 'sk_unit',
        inputs: [INPUT],
        out,
        stride,
        branches: dilated(branches, groups),
        attention: { width: Math.max(Math.floor(out / reduction), MIN_WIDTH) },
        ...NORM,
      },
    ],
  },
  conv2d: {
    defaults: { size: 56, channels: 128, out: OUT, kernel: 3, stride: 1, dilation: 1, groups: 1 },
    layers: ({ out, kernel, stride, dilation, groups }) => {
      const padding = Math.floor((dilation * (kernel - 1)) / 2)
      return [{ op: 'conv2d', name: 'conv2d', inputs: [INPUT], out, kernel, stride, padding, dilation, groups, bias: false }]
    },
  },
  batch_norm: {
    defaults: { size: 56, channels: 256 },
    layers: () => [{ op: 'batch_norm', name: 'batch_norm', inputs: [INPUT], ...NORM }],
  },
  max_pool: {
    defaults: { size: 112, channels: 64, kernel: 3, stride: 2 },
    layers: ({ kernel, stride }) => [
      { op: 'max_pool', name: 'max_pool', inputs: [INPUT], kernel, stride, padding: Math.floor((kernel - 1) / 2) },
    ],
  },
  bottleneck: {
    defaults: { size: 56, channels: 256, out: OUT, mid: MID, stride: 1, groups: 32 },
    layers: (shape) => bottleneckLayers(shape, { kind: 'conv', groups: shape.groups, se: null }),
  },
  sk_bottleneck: {
    defaults: { size: 56, channels: 256, out: OUT, mid: MID, stride: 1, groups: 32, branches: 2, reduction: 16 },
    layers: (shape) => {
      const { branches, groups, reduction } = shape
      const attention = { reduction, minWidth: MIN_WIDTH }
      return bottleneckLayers(shape, { kind: 'sk', branches: dilated(branches, groups), attention, splitInput: false })
    },
  },
} as const satisfies Record<string, OpKind>

export type OpName = keyof typeof kinds

export const opNames = Object.keys(kinds) as OpName[]

const ranges: Record<keyof OpShape, { max: number; about: string }> = {
  size: { max: 8192, about: 'side of the input' },
  channels: { max: 1 << 16, about: 'of the input' },
  out: { max: 1 << 16, about: 'channels of the output; default: those of the input' },
  mid: { max: 1 << 16, about: 'channels inside a bottleneck; default: half of the output' },
  kernel: { max: 255, about: 'side of the window, padded by half of it' },
  stride: { max: 64, about: 'pixels between two windows' },
  dilation: { max: 64, about: 'pixels between two taps of the kernel' },
  groups: { max: 1 << 16, about: 'of the convolutions (3x3 ones of units)' },
  branches: { max: 16, about: 'of an SK unit: 3x3 with dilation 1, 2, ...; default 2' },
  reduction: { max: 1 << 16, about: 'of an SK unit; default 16' },
}

/** Flags that only --op takes; --size is shared with the other kinds. */
export const opFlags: Record<string, Flag> = Object.fromEntries(
  Object.entries(ranges)
    .filter(([name]) => name !== 'size')
    .map(([name, { about }]) => [name, { kind: 'number', value: 'N', about: `--op: ${about}` }]),
)

/** The name of --op, or ERR_SKNET_OPTION with the nearest one. */
export function opName(value: string): OpName {
  return oneOf('op', value, opNames)
}

/** The shape of an op from flags. Throws ERR_SKNET_OPTION naming the flag: one that the op does not take, or a value that does not fit. */
export function opShape(op: OpName, args: Args): OpShape {
  const defaults: Partial<OpShape> = kinds[op].defaults
  for (const name of Object.keys(ranges)) {
    if (args.has(name) && !(name in defaults)) {
      const takes = Object.keys(defaults)
      const guess = nearest(name, takes)
      const hint = guess === null ? {} : { hint: `Did you mean --${guess}?` }
      throw usageError(`--${name} is no option of ${op}`, name, { got: args.text(name)!, expected: `one of ${takes.join(', ')}`, ...hint })
    }
  }
  const read = (name: keyof OpShape, fallback = defaults[name] ?? 0): number => {
    const value = args.number(name)
    return value === undefined ? fallback : integer(name, value, { min: 1, max: ranges[name].max })
  }
  const channels = read('channels')
  const out = read('out', 'out' in defaults ? channels : 0)
  const rest = { kernel: read('kernel'), stride: read('stride'), dilation: read('dilation'), groups: read('groups') }
  const mid = read('mid', 'mid' in defaults ? Math.max(1, Math.floor(out / 2)) : 0)
  const shape = { size: read('size'), channels, out, mid, ...rest, branches: read('branches'), reduction: read('reduction') }
  if ('kernel' in defaults && shape.kernel % 2 === 0) badOption('kernel', shape.kernel, 'an odd number')
  if ('groups' in defaults) checkGroups(shape, 'mid' in defaults ? [mid] : [channels, out])
  return shape
}

/** The layers of an op, from INPUT to the last one. */
export function opLayers(op: OpName, shape: OpShape): Layer[] {
  return kinds[op].layers(shape)
}

/** The options of `shape` that `op` takes. */
export function ownOptions(op: OpName, shape: OpShape): Partial<OpShape> {
  return Object.fromEntries(Object.entries(shape).filter(([name]) => name in kinds[op].defaults))
}

function checkGroups({ groups }: OpShape, channels: readonly number[]): void {
  if (channels.every((count) => count % groups === 0)) return
  badOption('groups', groups, `a number that divides ${[...new Set(channels)].join(' and ')} channels`)
}

function dilated(count: number, groups: number): SkBranch[] {
  return Array.from({ length: count }, (_, m) => ({ kernel: 3, dilation: m + 1, groups }))
}

function bottleneckLayers({ channels, out, mid, stride }: OpShape, unit: Unit): Layer[] {
  const draft: Draft = { layers: [], init: {} }
  bottleneck(draft, { name: 'block', from: INPUT, inChannels: channels, mid, out, stride, unit })
  return draft.layers
}
