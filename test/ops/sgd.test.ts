import { tolerance } from '../support/compare.js'
import { supportedIsas } from '../support/run-layers.js'
import { linearNetwork } from '../support/tiny-networks.js'
import { compareTraining, drawTraining, plainSettings, trainNative, trainReference, type TrainCase } from '../support/train-case.js'
import type { TrainSettings } from '../reference/train.js'

function sgd(name: string, settings: Partial<TrainSettings>): TrainCase {
  return {
    name,
    layers: linearNetwork(7),
    input: [3, 2, 33],
    classes: 7,
    shardSize: 5,
    shards: 1,
    settings: { ...plainSettings, ...settings },
  }
}

const onWeightsOnly = (name: string) => (name.endsWith('.weight') ? 0.05 : 0)

// Weights, momentum and gradients after three steps.
describe('sgd', () => {
  for (const c of [
    sgd('no momentum', { momentum: 0 }),
    sgd('momentum', {}),
    sgd('nesterov', { nesterov: true }),
    sgd('weight decay on every tensor', { weightDecay: () => 0.1 }),
    sgd('weight decay a tensor', { weightDecay: onWeightsOnly }),
    sgd('nesterov with weight decay', { nesterov: true, weightDecay: onWeightsOnly }),
    sgd('clipped gradient', { gradClip: 0.05 }),
    sgd('clip above the gradient', { gradClip: 1e6 }),
    sgd('a rate a tensor', { lrScale: (name) => (name.endsWith('.weight') ? 0.25 : 4) }),
    sgd('frozen weights, whose gradient counts in no norm', { lrScale: (name) => (name.endsWith('.weight') ? 0 : 1), gradClip: 0.05 }),
    sgd('clipped gradient with weight decay and nesterov', { gradClip: 0.1, weightDecay: onWeightsOnly, nesterov: true }),
  ]) {
    it(c.name, async () => {
      const drawn = drawTraining(c, 3)
      const expected = trainReference(c, drawn)
      for (const isa of supportedIsas()) compareTraining(isa, await trainNative(c, drawn, { isa }), expected, tolerance(33))
    })
  }
})
