/** The built-in data set for demos and tests: textured shapes, drawn by the native core from the seed; nothing is stored. */
import { integer, knownKeys, oneOf, optional } from '../check.js'
import { createDataset, smallImageDefaults, splitNames, toSplit } from './dataset.js'
import type { Dataset, Split, SplitName, Splits } from './dataset.js'

const shapes = ['disc', 'ring', 'square', 'triangle', 'cross'] as const

/** Images a split has unless said otherwise. */
const counts: Record<Split, number> = { train: 10_000, val: 1_000 }

export interface SyntheticOptions {
  split?: SplitName
  /** 2 to 100, default 10: five shapes in classes / 5 texture scales. */
  classes?: number
  /** Side in pixels, 8 to 1024, default 32. */
  size?: number
  /** Images of the split; default 10,000 for training, 1,000 for validation. Labels take turns, so classes are balanced. */
  count?: number
  /** Default 0. The two splits of a seed have no image in common. */
  seed?: number
}

/** One split if asked for, else both. */
export function synthetic(options: SyntheticOptions & { split: SplitName }): Dataset
export function synthetic(options?: SyntheticOptions & { split?: undefined }): Splits
export function synthetic(options?: SyntheticOptions): Dataset | Splits {
  const given = knownKeys('', options, ['split', 'classes', 'size', 'count', 'seed'])
  const classes = optional(given.classes, 10, (value) => integer('classes', value, { min: 2, max: 100 }))
  const size = optional(given.size, 32, (value) => integer('size', value, { min: 8, max: 1024 }))
  const seed = optional(given.seed, 0, (value) => integer('seed', value, { min: 0, max: 2 ** 52 - 1 }))
  const open = (split: Split): Dataset => {
    const count = optional(given.count, counts[split], (value) => integer('count', value, { min: 1, max: 2 ** 31 - 1 }))
    return openSplit(split, classes, size, count, seed)
  }
  if (given.split !== undefined) return open(toSplit(oneOf('split', given.split, splitNames)))
  return { train: open('train'), val: open('val') }
}

function openSplit(split: Split, classes: number, size: number, count: number, seed: number): Dataset {
  const facts = {
    kind: 'synthetic' as const,
    path: '',
    split,
    classes,
    classNames: Array.from({ length: classes }, (_, label) => className(label)),
    size: count,
    imageSize: { height: size, width: size },
    defaults: smallImageDefaults(size, [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]),
    warnings: [],
  }
  // Two random keys a seed.
  const key = 2 * seed + (split === 'train' ? 0 : 1)
  return createDataset(facts, () => ({ kind: 'synthetic', count, classes, size, seed: key }))
}

/** The native core's rule: shape label % 5, texture scale label / 5, the finest first. */
function className(label: number): string {
  return `${shapes[label % shapes.length]!} texture ${Math.floor(label / shapes.length)}`
}
