/** What a training tells of the weights it makes; it goes with them into checkpoints, best/ and saved models, and onto their cards. */
import type { ModelInfo } from '../model/save.js'
import { packageVersion } from '../version.js'
import type { RunIdentity, RunState } from './state.js'

/** Metrics are there where these very weights were judged. */
export function trainedInfo(state: RunState, { recipe, options, data }: RunIdentity): ModelInfo {
  const { step, epoch, lastEpoch } = state
  const judged = lastEpoch?.step === step && lastEpoch.top1 !== null ? lastEpoch : null
  return {
    sknet: packageVersion(),
    recipe,
    data: `${data.kind}, ${data.images} images`,
    epochs: epoch,
    steps: step,
    ...(judged === null ? {} : { metrics: { top1: judged.top1, top5: judged.top5, loss: judged.valLoss } }),
    options,
  }
}
