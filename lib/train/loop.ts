/**
 * The training loop on one page. Everything it does by name is a hook of the session (session.ts); the order of things is here.
 */
import type { TrainChunk } from '../native.js'
import type { TrainEvent } from './events.js'
import type { RunState } from './state.js'

export type StopReason = 'maxSteps' | 'aborted'

export interface LoopHooks {
  state: RunState
  stepsPerEpoch: number
  /** Says what is going to run and from where. */
  onStart(): AsyncIterable<TrainEvent>
  /** Opens the epoch's batches at the cursor: order and augmentation are a function of (seed, epoch, sample). */
  openEpoch(): Promise<void>
  /** Why to stop before the next step, null to go on. */
  stopReason(): StopReason | null
  /** Some steps in one native call, up to the next point where something else is due. The event loop is free meanwhile. */
  trainChunk(): Promise<TrainChunk>
  /** Counts the steps, tells of them and of unreadable images; throws when the loss is no number or too many images are bad. */
  onSteps(chunk: TrainChunk): AsyncIterable<TrainEvent>
  checkpointDue(): boolean
  onCheckpoint(): AsyncIterable<TrainEvent>
  /** Validates, writes the row of results, keeps the best, writes the epoch's checkpoint; moves the state to the next epoch. */
  onEpochEnd(): AsyncIterable<TrainEvent>
  /** A checkpoint and the end event; for an abort the error that says so follows. */
  onStop(reason: StopReason): AsyncIterable<TrainEvent>
  /** The final checkpoint with the result in it, and the end event. */
  onEnd(): AsyncIterable<TrainEvent>
}

export async function* trainLoop(run: LoopHooks): AsyncGenerator<TrainEvent, void, void> {
  yield* run.onStart()

  while (run.state.result === null) {
    await run.openEpoch()

    while (run.state.cursor < run.stepsPerEpoch) {
      const reason = run.stopReason()
      if (reason !== null) {
        yield* run.onStop(reason)
        return
      }

      yield* run.onSteps(await run.trainChunk())
      if (run.checkpointDue()) yield* run.onCheckpoint()
    }

    yield* run.onEpochEnd()
    if (run.stopReason() === 'aborted') {
      yield* run.onStop('aborted')
      return
    }
  }

  yield* run.onEnd()
}
