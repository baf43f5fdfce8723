/** The options of SK units, as the networks that have them take them. */
import { boolean, integer, knownKeys, list, optional } from '../check.js'
import type { Unit } from './blocks.js'
import type { SkBranch } from './spec.js'

export interface SkOptions {
  /** A number M: 3x3 kernels with dilations 1 to M. Or one entry a branch; kernel 3, dilation 1 and the network's groups unless given. */
  branches?: number | Partial<SkBranch>[]
  /** r of the paper: the attention has max(channels / r, minWidth) channels. */
  reduction?: number
  /** L of the paper. */
  minWidth?: number
  /** false: the plain sum of the branches, without attention (FACTS 1.8). */
  attention?: boolean
}

export const skKeys = ['branches', 'reduction', 'minWidth', 'attention'] as const

/** SK[M, G, r] of the paper as a unit; throws ERR_SKNET_OPTION. */
export function skUnitOf(options: unknown, groups: number, defaults: { minWidth: number } = { minWidth: 32 }): Unit {
  const given = (options ?? {}) as Record<(typeof skKeys)[number], unknown>
  const reduction = optional(given.reduction, 16, (v) => integer('reduction', v, { min: 1, max: 1 << 20 }))
  const minWidth = optional(given.minWidth, defaults.minWidth, (v) => integer('minWidth', v, { min: 1, max: 1 << 20 }))
  const attention = optional(given.attention, true, (v) => boolean('attention', v)) ? { reduction, minWidth } : null
  return { kind: 'sk', branches: branchesOf(given.branches ?? 2, groups), attention }
}

function branchesOf(value: unknown, groups: number): SkBranch[] {
  if (!Array.isArray(value)) {
    const count = integer('branches', value, { min: 1, max: 16 })
    return Array.from({ length: count }, (_, m) => ({ kernel: 3, dilation: m + 1, groups }))
  }
  return list('branches', value, (option, item) => branchOf(option, item, groups), { min: 1, max: 16 })
}

function branchOf(option: string, value: unknown, groups: number): SkBranch {
  const given = knownKeys(option, value, ['kernel', 'dilation', 'groups'])
  const field = (key: keyof SkBranch, fallback: number) =>
    optional(given[key], fallback, (v) => integer(`${option}.${key}`, v, { min: 1, max: 1 << 20 }))
  return { kernel: field('kernel', 3), dilation: field('dilation', 1), groups: field('groups', groups) }
}
