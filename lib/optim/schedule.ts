/**
 * Learning rates as pure functions of the step, counted from 0 over the whole run (not the epoch), so that a resumed run needs no
 * schedule state. Sources: `step` is the paper's (divide by ten at given epochs), `cosine` with linear warm-up is the one used for the
 * light models and for CIFAR: warm-up lr (t + 1) / W, then lr / 2 (1 + cos pi (t - W) / (T - W)).
 */

export type ScheduleName = 'step' | 'cosine'

export interface Schedule {
  name: ScheduleName
  /** Base rate, reached at the end of the warm-up. */
  lr: number
  /** Steps of an epoch: full batches only. */
  stepsPerEpoch: number
  /** Epochs of the whole run. */
  epochs: number
  /** Length of the linear warm-up in epochs, 0 for none; fractions are rounded to whole steps. */
  warmupEpochs: number
  /** Epochs, counted from 0, before which the rate drops. Only read by `step`. */
  drops: readonly number[]
  /** What one drop multiplies the rate with; 0.1 unless given. */
  factor?: number
}

/** Steps of the whole run. */
export function totalSteps(schedule: Pick<Schedule, 'stepsPerEpoch' | 'epochs'>): number {
  return schedule.stepsPerEpoch * schedule.epochs
}

/** The rate of step `t`, 0 <= t < totalSteps. */
export function learningRate(schedule: Schedule, t: number): number {
  const warmup = Math.round(schedule.warmupEpochs * schedule.stepsPerEpoch)
  if (t < warmup) return (schedule.lr * (t + 1)) / warmup
  return schedule.name === 'cosine' ? cosine(schedule, t, warmup) : stepped(schedule, t)
}

/** The rates of `count` steps from `first`, cut off at the end of the run: what one call of the native loop takes. */
export function learningRates(schedule: Schedule, first: number, count: number): Float64Array {
  const length = Math.max(0, Math.min(count, totalSteps(schedule) - first))
  return Float64Array.from({ length }, (_, i) => learningRate(schedule, first + i))
}

function cosine(schedule: Schedule, t: number, warmup: number): number {
  return (schedule.lr / 2) * (1 + Math.cos((Math.PI * (t - warmup)) / (totalSteps(schedule) - warmup)))
}

function stepped(schedule: Schedule, t: number): number {
  const epoch = Math.floor(t / schedule.stepsPerEpoch)
  const passed = schedule.drops.filter((drop) => epoch >= drop).length
  return schedule.lr * (schedule.factor ?? 0.1) ** passed
}
