import { expect } from 'chai'
import { native } from '../../lib/native.js'
import { gradientNorm } from '../reference/reduce_norm.js'
import { supportedIsas } from '../support/run-layers.js'
import { linearNetwork } from '../support/tiny-networks.js'
import { drawTraining, plainSettings, trainNative, type TrainCase } from '../support/train-case.js'

function norms(channels: number, classes: number): TrainCase {
  const name = `${channels} channels, ${classes} classes`
  return { name, layers: linearNetwork(classes), input: [1, 1, channels], classes, shardSize: 4, shards: 1, settings: plainSettings }
}

describe('reduce_norm', () => {
  for (const c of [norms(1, 2), norms(7, 33), norms(130, 130), norms(1025, 65)]) {
    it(`gives the norm of the gradient it read, ${c.name}`, async () => {
      const drawn = drawTraining(c, 1)
      for (const isa of supportedIsas()) {
        const { tensors, gradNorm } = await trainNative(c, drawn, { isa })
        const gradients = [...tensors].filter(([name]) => name.startsWith('gradient ')).map(([, values]) => Float64Array.from(values))
        // Squares are summed in float64; only the float32 gradient itself is rounded, and both sides see the same.
        expect(gradNorm[0]).to.be.closeTo(gradientNorm(gradients), 1e-12 * gradNorm[0]!)
      }
    })
  }

  for (const bad of [NaN, Infinity]) {
    it(`reports a step whose numbers are ${bad} and leaves the weights alone`, async () => {
      const c = norms(7, 5)
      const drawn = drawTraining(c, 1)
      const { images, labels } = drawn.batches[0]!
      for (const isa of supportedIsas()) {
        const plan = new (native().Plan)({
          layers: c.layers,
          input: { height: 1, width: 1, channels: 7 },
          mode: 'train',
          shardSize: 4,
          shards: 1,
          threads: 2,
          isa,
          optimizer: { momentum: 0.9, nesterov: false, gradClip: 0, emaDecay: 0, weightDecay: new Float64Array(2) },
        })
        for (const [name, t] of drawn.tensors) plan.write('value', name, Float32Array.from(t.data))
        const poisoned = Float32Array.from(images.data)
        poisoned[10] = bad
        const chunk = await plan.trainBatch(poisoned, labels, 0.1)
        expect(chunk.steps).to.equal(0)
        expect(chunk.nonFinite).to.not.equal(null)
        for (const [name, t] of drawn.tensors) expect(plan.read('value', name)).to.deep.equal(Float32Array.from(t.data))
        plan.dispose()
      }
    })
  }
})
