import { tolerance } from '../support/compare.js'
import { supportedIsas } from '../support/run-layers.js'
import { linearNetwork } from '../support/tiny-networks.js'
import { compareTraining, drawTraining, plainSettings, trainNative, trainReference, type TrainCase } from '../support/train-case.js'
import type { TrainSettings } from '../reference/train.js'

/** 1025 x 65 weights are more than one piece of those that threads share. */
function lars(name: string, classes: number, channels: number, settings: Partial<TrainSettings>): TrainCase {
  const layers = linearNetwork(classes)
  return {
    name,
    layers,
    input: [1, 1, channels],
    classes,
    shardSize: 5,
    shards: 1,
    settings: { ...plainSettings, trust: 0.02, ...settings },
  }
}

// Weights, momentum and gradients after three steps; biases take plain steps.
describe('trust_ratio', () => {
  for (const c of [
    lars('without weight decay', 7, 33, {}),
    lars('with weight decay', 7, 33, { weightDecay: () => 0.1 }),
    lars('after clipping', 7, 33, { gradClip: 0.05, weightDecay: () => 0.1 }),
    lars('with a rate a tensor', 7, 33, { lrScale: (name) => (name.endsWith('.weight') ? 3 : 0.5) }),
    lars('of frozen biases', 5, 17, { lrScale: (name) => (name.endsWith('.weight') ? 1 : 0) }),
    lars('of a large tensor', 65, 1025, { nesterov: true, weightDecay: () => 0.01 }),
  ]) {
    it(c.name, async () => {
      const drawn = drawTraining(c, 3)
      const expected = trainReference(c, drawn)
      for (const isa of supportedIsas()) compareTraining(isa, await trainNative(c, drawn, { isa }), expected, tolerance(33))
    })
  }

  it('is 1 where the weights are zero', async () => {
    const c = lars('of zero weights', 4, 9, { momentum: 0 })
    const drawn = drawTraining(c, 1)
    drawn.tensors.get(drawn.parameters.find((name) => name.endsWith('.weight'))!)!.data.fill(0)
    const expected = trainReference(c, drawn)
    for (const isa of supportedIsas()) compareTraining(isa, await trainNative(c, drawn, { isa }), expected, tolerance(33))
  })
})
