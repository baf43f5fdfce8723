/** The metric a run is judged by: which epoch is the best so far, and when a run has stopped getting better. */
import type { Scores } from './events.js'
import type { BestMetric, TrainOptions } from './option-types.js'

/** The best epoch so far, by the metric that `value` is of. */
export interface BestEpoch {
  value: number
  top1: number
  /** From 1. */
  epoch: number
  step: number
}

/** The last epoch that was better than all before it by more than `earlyStop.minDelta`. */
export interface Progress {
  value: number
  epoch: number
}

/** true when `value` is better than `than` by more than `by`; losses are better where they are lower. Not a number is never better. */
export function isBetter(metric: BestMetric, value: number, than: number, by = 0): boolean {
  return metric === 'loss' ? value < than - by : value > than + by
}

/** Whether these scores are the best of the run. */
export function isBest(metric: BestMetric, scores: Scores | null, best: BestEpoch | null): boolean {
  return scores !== null && Number.isFinite(scores[metric]) && (best === null || isBetter(metric, scores[metric], best.value))
}

/** Where the run stood when it last got better, `epoch` included. */
export function progressAfter(options: TrainOptions, scores: Scores, epoch: number, before: Progress | null): Progress {
  const { metric } = options.best
  const value = scores[metric]
  return before === null || isBetter(metric, value, before.value, options.earlyStop.minDelta) ? { value, epoch } : before
}

/** true when `earlyStop.patience` epochs in a row brought nothing. */
export function stoppedImproving(options: TrainOptions, epoch: number, progress: Progress | null): boolean {
  const { patience } = options.earlyStop
  return patience > 0 && progress !== null && epoch - progress.epoch >= patience
}
