/** The session of a run that is finished already: it tells the recorded result and trains nothing. */
import type { Model } from '../model/model.js'
import type { StartEvent, TrainEvent, TrainResult } from './events.js'

/** What fit drives: the events, and the end. */
export interface Session {
  events(): AsyncGenerator<TrainEvent, void, void>
  /** Frees what is held and leaves the trained weights in the model. `failed`: an error ended the events. */
  close(failed: boolean): Promise<void>
}

/** @param weights those the run is judged by */
export function finishedSession(
  model: Model,
  weights: ReadonlyMap<string, Float32Array>,
  start: StartEvent,
  result: TrainResult,
  checkpoint: string,
): Session {
  return {
    async *events() {
      yield await Promise.resolve(start)
      yield { type: 'end', ...result, run: start.run, checkpoint }
    },
    close: () => {
      model.setWeights(weights)
      return Promise.resolve()
    },
  }
}
