/** Running sums over the steps of one epoch, as plain data: they are stored in checkpoints and go on after a resume. */
import type { TrainChunk } from '../native.js'

export interface EpochSums {
  steps: number
  images: number
  /** Sum over steps of the mean loss of each. */
  loss: number
  correct: number
  seconds: number
  waitSeconds: number
}

export function emptySums(): EpochSums {
  return { steps: 0, images: 0, loss: 0, correct: 0, seconds: 0, waitSeconds: 0 }
}

/** The sums with the steps of `chunk` added one by one, in order, so that the split into chunks does not show in the last bit. */
export function addChunk(sums: EpochSums, chunk: TrainChunk, batchSize: number): EpochSums {
  const next = { ...sums }
  for (let i = 0; i < chunk.steps; i++) {
    next.steps += 1
    next.images += batchSize
    next.loss += chunk.loss[i]!
    next.correct += chunk.correct[i]!
    next.seconds += chunk.seconds[i]!
    next.waitSeconds += chunk.waitSeconds[i]!
  }
  return next
}

/** Means over the epoch so far; zeros before its first step. */
export function epochMeans(sums: EpochSums): { loss: number; accuracy: number; imagesPerSecond: number } {
  return {
    loss: sums.steps === 0 ? 0 : sums.loss / sums.steps,
    accuracy: sums.images === 0 ? 0 : sums.correct / sums.images,
    imagesPerSecond: rate(sums.images, sums.seconds),
  }
}

/** 0 when no time passed. */
export function shareOf(part: number, seconds: number): number {
  return seconds > 0 ? part / seconds : 0
}

/** Images a second; 0 when no time passed. */
export function rate(images: number, seconds: number): number {
  return seconds > 0 ? images / seconds : 0
}
