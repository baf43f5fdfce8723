// DESIGN 3: BN statistics belong to a shard, the loss is the mean over the global batch, gradients are summed over shards, running
// statistics are the mean over shards applied once.
import { expect } from 'chai'
import { tolerance } from '../support/compare.js'
import { supportedIsas } from '../support/run-layers.js'
import { mixedNetwork } from '../support/tiny-networks.js'
import { compareTraining, drawTraining, hashOf, plainSettings, trainNative, trainReference, type TrainCase } from '../support/train-case.js'

function sharded(shards: number, shardSize: number): TrainCase {
  const settings = { ...plainSettings, lr: 0.02, nesterov: true, weightDecay: (name: string) => (name.endsWith('.weight') ? 1e-3 : 0) }
  const name = `${shards} shards of ${shardSize}`
  return {
    name,
    layers: mixedNetwork(5),
    input: [8, 7, 3],
    classes: 5,
    shardSize,
    shards,
    settings: { ...settings, gradClip: 5, labelSmoothing: 0.1, emaDecay: 0.9 },
  }
}

describe('shards', () => {
  for (const c of [1, 2, 3, 5, 6, 7, 8].map((shards) => sharded(shards, 4))) {
    it(`${c.name} follow the rule, with the same bits on 1, 2 and 4 threads`, async () => {
      const drawn = drawTraining(c, 3)
      const expected = trainReference(c, drawn)
      for (const isa of supportedIsas()) {
        const one = await trainNative(c, drawn, { isa })
        // Three steps through batch norm over four samples: errors grow with every step (compare golden/README.md).
        compareTraining(isa, one, expected, tolerance(4 * 8 * 7, 60))
        compareTraining(`${isa}, not fused`, await trainNative(c, drawn, { isa, fuse: false }), expected, tolerance(4 * 8 * 7, 60))
        for (const threads of [2, 4]) expect(hashOf(await trainNative(c, drawn, { isa, threads }))).to.equal(hashOf(one))
      }
    })
  }

  it('differ from one batch of the same size', async () => {
    const cut = { ...sharded(4, 4), name: 'sixteen images' }
    const whole = { ...sharded(1, 16), name: 'sixteen images' }
    const drawn = drawTraining(cut, 1)
    const [isa] = supportedIsas()
    const a = await trainNative(cut, drawn, { isa: isa! })
    const b = await trainNative(whole, drawn, { isa: isa! })
    expect(Math.abs(a.loss[0]! - b.loss[0]!)).to.be.greaterThan(1e-4)
  })
})
