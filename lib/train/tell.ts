/** Events and results made from a run's state: plain data from plain data. */
import type { TrainChunk } from '../native.js'
import { learningRate, totalSteps, type Schedule } from '../optim/schedule.js'
import { isBest } from './best.js'
import type { EpochEvent, Scores, StartEvent, StepEvent, TrainResult } from './events.js'
import { epochMeans, rate, shareOf } from './metrics.js'
import type { BestMetric } from './option-types.js'
import type { RunState } from './state.js'

/** The event of step `i` of a chunk that began at `state`. */
export function stepEvent(state: RunState, schedule: Schedule, batchSize: number, chunk: TrainChunk, i: number): StepEvent {
  const seconds = chunk.seconds[i]!
  return {
    type: 'step',
    epoch: state.epoch + 1,
    step: state.step + i + 1,
    loss: chunk.loss[i]!,
    accuracy: chunk.correct[i]! / batchSize,
    lr: learningRate(schedule, state.step + i),
    gradNorm: chunk.gradNorm[i]!,
    seconds,
    waitSeconds: chunk.waitSeconds[i]!,
    imagesPerSecond: rate(batchSize, seconds),
  }
}

/** The event of the epoch whose steps `state` has counted. */
export function epochEvent(
  state: RunState,
  schedule: Schedule,
  metric: BestMetric,
  scores: { judged: Scores; raw: Scores | null } | null,
): EpochEvent {
  const { sums, step, epoch, badSamples } = state
  return {
    type: 'epoch',
    epoch: epoch + 1,
    step,
    lr: learningRate(schedule, step - 1),
    ...epochMeans(sums),
    top1: scores?.judged.top1 ?? null,
    top5: scores?.judged.top5 ?? null,
    valLoss: scores?.judged.loss ?? null,
    raw: scores?.raw ?? null,
    best: isBest(metric, scores?.judged ?? null, state.best),
    seconds: sums.seconds,
    waitSeconds: sums.waitSeconds,
    waitShare: shareOf(sums.waitSeconds, sums.seconds),
    badSamples: badSamples.filter((record) => record.epoch === epoch + 1).map(({ path, reason, split }) => ({ path, reason, split })),
  }
}

/** Where a run stands, as its result; the checkpoint is filled in by who knows it. */
export function resultOf(state: RunState, start: StartEvent, schedule: Schedule, stopped: TrainResult['stopped']): TrainResult {
  const { step, epoch, loss, lastEpoch, best, badSamples, seconds } = state
  return {
    run: start.run,
    model: start.model,
    params: start.params,
    classes: start.classes,
    epochs: epoch,
    steps: step,
    totalSteps: totalSteps(schedule),
    stopped,
    loss,
    top1: lastEpoch?.top1 ?? null,
    top5: lastEpoch?.top5 ?? null,
    valLoss: lastEpoch?.valLoss ?? null,
    best: best === null ? null : { top1: best.top1, epoch: best.epoch },
    badSamples: badSamples.length,
    seconds,
    waitShare: shareOf(state.waitSeconds, seconds),
    imagesPerSecond: rate(step * start.options.batchSize, seconds),
    checkpoint: null,
  }
}
