/** Repeated measurement: warm-up, medians, and how the seconds of a plan fall on its steps. */
import { callNative, type Plan, type PlanStep } from '../native.js'

export interface Repeats {
  /** Runs before the measured ones. */
  warmup: number
  /** Measured runs, at least 1. */
  runs: number
}

/** A step of a plan with what one run of it takes. */
export interface TimedStep extends PlanStep {
  /** Median over the measured runs; 0 where the plan counts nothing (the update). */
  seconds: number
  /** null where no seconds are counted. */
  flopsPerSecond: number | null
  bytesPerSecond: number | null
}

export interface PlanTimes {
  steps: TimedStep[]
  /** Seconds in all steps of each run. */
  inSteps: number[]
  /** What `run` told of each run. */
  told: number[]
}

/** The middle value, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** What `run` returns, once a measured run. */
export async function repeat(run: () => Promise<number>, { warmup, runs }: Repeats): Promise<number[]> {
  for (let i = 0; i < warmup; i++) await run()
  const values: number[] = []
  for (let i = 0; i < runs; i++) values.push(await run())
  return values
}

/** Runs a plan through `run` (which returns seconds of its own choice) and takes what the plan counted for each step. */
export async function timePlan(plan: Plan, run: () => Promise<number>, repeats: Repeats): Promise<PlanTimes> {
  await repeat(run, { warmup: 0, runs: repeats.warmup })
  const counted: number[][] = []
  let before = callNative(() => plan.steps())
  const told = await repeat(
    async () => {
      const seconds = await run()
      const after = callNative(() => plan.steps())
      counted.push(after.map((step, i) => step.seconds - before[i]!.seconds))
      before = after
      return seconds
    },
    { warmup: 0, runs: repeats.runs },
  )
  const steps = before.map((step, i) =>
    timedStep(
      step,
      counted.map((run) => run[i]!),
    ),
  )
  return { steps, told, inSteps: counted.map((run) => run.reduce((sum, seconds) => sum + seconds, 0)) }
}

/** Most memory the process had in use so far, in MiB. */
export function peakRssMiB(): number {
  return process.resourceUsage().maxRSS / 1024
}

/** Sum of one number over the steps of a plan. */
export function total(steps: readonly PlanStep[], key: 'flops' | 'bytes' | 'seconds'): number {
  return steps.reduce((sum, step) => sum + step[key], 0)
}

function timedStep(step: PlanStep, runs: readonly number[]): TimedStep {
  const seconds = median(runs)
  const rate = (amount: number): number | null => (seconds > 0 ? amount / seconds : null)
  return { ...step, seconds, flopsPerSecond: rate(step.flops), bytesPerSecond: rate(step.bytes) }
}
