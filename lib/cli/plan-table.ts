/** A plan as a table for people: one line a step, with times where they were measured, and a summary by op. */
import type { PlanStep } from '../native.js'
import { total, type TimedStep } from './measure.js'

/** The steps of one op together. */
export interface OpTime {
  op: string
  phase: PlanStep['phase']
  steps: number
  /** Of one run. */
  seconds: number
  /** Of all seconds that the plan counts, from 0 to 1. */
  share: number
  flops: number
  bytes: number
  /** null where no seconds are counted. */
  flopsPerSecond: number | null
  bytesPerSecond: number | null
}

/** Columns before this one hold text, the others numbers. */
const TEXT_COLUMNS = 4

/**
 * One line a step under a header; what was tried and refused follows its step, indented. Steps with times have three columns more.
 */
export function planTable(steps: readonly (PlanStep | TimedStep)[]): string[] {
  const timed = steps.some(isTimed)
  const titles = ['phase', 'layer', 'op', 'candidate', 'MFLOP', 'MiB', ...(timed ? timeTitles : [])]
  const rows = steps.map((s) => [
    ...[s.phase, s.layer, s.op, s.candidate, (s.flops / 1e6).toFixed(1), (s.bytes / 2 ** 20).toFixed(2)],
    ...(isTimed(s) ? timeCells(s) : []),
  ])
  const [header, ...lines] = aligned([titles, ...rows], TEXT_COLUMNS)
  return [header!, ...lines.flatMap((line, i) => [line, ...choiceOf(steps[i]!)])]
}

/** Why a step's candidate runs it, a line each. */
function choiceOf({ trials, note, refused }: PlanStep): string[] {
  const times = trials.map(({ candidate, seconds }) => `${candidate} ${(1e3 * seconds).toFixed(4)} ms`)
  return [
    ...(times.length > 0 ? [`    tried: ${times.join(', ')}`] : []),
    ...(note === '' ? [] : [`    ${note}`]),
    ...refused.map((r) => `    not ${r.candidate}: ${r.reason}`),
  ]
}

/** The steps of a plan by op and phase, the longest first. */
export function timesByOp(steps: readonly TimedStep[]): OpTime[] {
  const all = total(steps, 'seconds')
  const groups = new Map<string, TimedStep[]>()
  for (const step of steps) {
    const key = `${step.op} ${step.phase}`
    groups.set(key, [...(groups.get(key) ?? []), step])
  }
  const ops = [...groups.values()].map((group): OpTime => {
    const [seconds, flops, bytes] = [total(group, 'seconds'), total(group, 'flops'), total(group, 'bytes')]
    const rate = (amount: number): number | null => (seconds > 0 ? amount / seconds : null)
    const { op, phase } = group[0]!
    const rates = { flopsPerSecond: rate(flops), bytesPerSecond: rate(bytes) }
    return { op, phase, steps: group.length, seconds, share: all > 0 ? seconds / all : 0, flops, bytes, ...rates }
  })
  return ops.toSorted((a, b) => b.seconds - a.seconds)
}

/** One line an op and phase under a header. */
export function opTable(ops: readonly OpTime[]): string[] {
  const titles = ['op', 'phase', 'steps', 'share', ...timeTitles]
  const rows = ops.map((o) => [o.op, o.phase, String(o.steps), `${(100 * o.share).toFixed(1)} %`, ...timeCells(o)])
  return aligned([titles, ...rows], 2)
}

const timeTitles = ['ms', 'GFLOP/s', 'GB/s']

function timeCells({ seconds, flopsPerSecond, bytesPerSecond }: Pick<OpTime, 'seconds' | 'flopsPerSecond' | 'bytesPerSecond'>): string[] {
  const billions = (rate: number | null): string => (rate === null ? '-' : (rate / 1e9).toFixed(1))
  return [flopsPerSecond === null ? '-' : (1e3 * seconds).toFixed(3), billions(flopsPerSecond), billions(bytesPerSecond)]
}

function isTimed(step: PlanStep | TimedStep): step is TimedStep {
  return 'flopsPerSecond' in step
}

/** Columns of one width each: the first `texts` to the left, the others to the right. */
function aligned(rows: readonly string[][], texts: number): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) => row.map((cell, i) => (i < texts ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '))
}
