import { tolerance } from '../support/compare.js'
import { supportedIsas } from '../support/run-layers.js'
import { mixedNetwork } from '../support/tiny-networks.js'
import { compareTraining, drawTraining, plainSettings, trainNative, trainReference, type TrainCase } from '../support/train-case.js'

function averaged(emaDecay: number): TrainCase {
  return {
    name: `decay ${emaDecay}`,
    layers: mixedNetwork(5),
    input: [7, 6, 3],
    classes: 5,
    shardSize: 6,
    shards: 1,
    settings: { ...plainSettings, lr: 0.02, emaDecay },
  }
}

// Averages of weights and running statistics after three steps.
describe('ema', () => {
  for (const c of [averaged(0.5), averaged(0.99)]) {
    it(c.name, async () => {
      const drawn = drawTraining(c, 3)
      const expected = trainReference(c, drawn)
      for (const isa of supportedIsas()) compareTraining(isa, await trainNative(c, drawn, { isa }), expected, tolerance(252, 40))
    })
  }
})
