/** The options of SK units, as the networks that have them take them. */
import { badOption, boolean, integer, knownKeys, list, optional } from '../check.js'
import type { SkUnit } from './draft.js'
import type { SkBranch } from './spec.js'

export interface SkOptions {
  /** A number M: 3x3 kernels with dilations 1 to M. Or one entry a branch; kernel 3, dilation 1 and the network's groups unless given. */
  branches?: number | Partial<SkBranch>[]
  /** r of the paper: the attention has max(channels / r, minWidth) channels. */
  reduction?: number
  /** L of the paper; or one a stage, such as [32, 16, 32, 32] for the Caffe SKNet-101, whose second stage has 16. */
  minWidth?: number | number[]
  /** false: the plain sum of the branches, without attention (FACTS 1.8). */
  attention?: boolean
  /** true: each branch reads its share of the input's channels, as in timm's skresnet. */
  splitInput?: boolean
}

export const skKeys = ['branches', 'reduction', 'minWidth', 'attention', 'splitInput'] as const

export interface SkDefaults {
  reduction?: number
  minWidth?: number
  splitInput?: boolean
}

/**
 * SK[M, G, r] of the paper as a unit for each of `stages` stages (from 0). SK[2, groups, 16], L = 32 unless `defaults` say otherwise. 'depthwise':
 * as many groups as channels, and none in the options. Throws ERR_SKNET_OPTION.
 */
export function skUnitOf(
  options: unknown,
  groups: number | 'depthwise',
  stages: number,
  defaults: SkDefaults = {},
): (stage: number) => SkUnit {
  const given = (options ?? {}) as Record<(typeof skKeys)[number], unknown>
  const count = (option: string, v: unknown) => integer(option, v, { min: 1, max: 1 << 20 })
  const reduction = optional(given.reduction, defaults.reduction ?? 16, (v) => count('reduction', v))
  const minWidth = optional(given.minWidth, defaults.minWidth ?? 32, (v) =>
    Array.isArray(v) ? list('minWidth', v, count) : count('minWidth', v),
  )
  if (Array.isArray(minWidth) && minWidth.length !== stages)
    badOption('minWidth', minWidth, `a whole number, or one for each of ${stages} stages`)
  const attended = optional(given.attention, true, (v) => boolean('attention', v))
  const splitInput = optional(given.splitInput, defaults.splitInput ?? false, (v) => boolean('splitInput', v))
  const depthwise = groups === 'depthwise'
  const branches = branchesOf(given.branches ?? 2, depthwise ? null : groups)
  return (stage) => {
    const least = Array.isArray(minWidth) ? minWidth[stage]! : minWidth
    return { branches, attention: attended ? { reduction, minWidth: least } : null, splitInput, depthwise }
  }
}

/** `groups`: of branches that do not say; null: branches may not say. */
function branchesOf(value: unknown, groups: number | null): SkBranch[] {
  if (!Array.isArray(value)) {
    const count = integer('branches', value, { min: 1, max: 16 })
    return Array.from({ length: count }, (_, m) => ({ kernel: 3, dilation: m + 1, groups: groups ?? 1 }))
  }
  return list('branches', value, (option, item) => branchOf(option, item, groups), { min: 1, max: 16 })
}

function branchOf(option: string, value: unknown, groups: number | null): SkBranch {
  const given: Partial<Record<keyof SkBranch, unknown>> = knownKeys(option, value, [
    'kernel',
    'dilation',
    ...(groups === null ? [] : ['groups']),
  ])
  const field = (key: keyof SkBranch, fallback: number) =>
    optional(given[key], fallback, (v) => integer(`${option}.${key}`, v, { min: 1, max: 1 << 20 }))
  return { kernel: field('kernel', 3), dilation: field('dilation', 1), groups: field('groups', groups ?? 1) }
}
