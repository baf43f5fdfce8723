import { expect } from 'chai'
import type { Isa } from '../../binding.js'
import { assertClose, tolerance } from '../support/compare.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { supportedIsas } from '../support/run-layers.js'
import { linearNetwork } from '../support/tiny-networks.js'
import { compareTraining, drawTraining, hashOf, plainSettings, trainNative, trainReference, type TrainCase } from '../support/train-case.js'

function entropy(batch: number, classes: number, labelSmoothing: number): TrainCase {
  return {
    name: `${batch} images, ${classes} classes, label smoothing ${labelSmoothing}`,
    layers: linearNetwork(classes),
    input: [1, 1, 5],
    classes,
    shardSize: batch,
    shards: 1,
    settings: { ...plainSettings, labelSmoothing },
  }
}

/** Every instruction set and, where it is built, the emulated device. */
function variants(): { isa?: Isa; device?: string }[] {
  return [...supportedIsas().map((isa) => ({ isa })), ...(hasEmulatedDevice() ? [{ device: emulated }] : [])]
}

// One layer's gradient is dlogits times its input, so loss and gradient of the op show in the loss and in the gradients of weight and bias.
describe('softmax_cross_entropy', () => {
  for (const c of [
    entropy(1, 2, 0),
    entropy(7, 10, 0),
    entropy(7, 10, 0.1),
    entropy(33, 7, 0.1),
    entropy(5, 1000, 0.1),
    entropy(3, 33, 0),
  ]) {
    it(c.name, async () => {
      const drawn = drawTraining(c, 1)
      const expected = trainReference(c, drawn)
      for (const variant of variants()) {
        compareTraining(variant.device ?? variant.isa!, await trainNative(c, drawn, variant), expected, tolerance(c.classes))
      }
    })
  }

  it('counts an image labelled -1 nowhere', async () => {
    const c = { ...entropy(6, 7, 0.1), name: 'labels of -1' }
    const drawn = drawTraining(c, 2)
    for (const { labels } of drawn.batches) labels.set([-1, -1], 2)
    const expected = trainReference(c, drawn)
    for (const variant of variants()) {
      compareTraining(variant.device ?? variant.isa!, await trainNative(c, drawn, variant), expected, tolerance(c.classes))
    }
  })

  it('shares the target between two labels', async () => {
    const c = { ...entropy(6, 7, 0.1), name: 'two labels', shards: 2 }
    const drawn = drawTraining(c, 2)
    for (const batch of drawn.batches) {
      // One share in the middle, the ends, and twice the same label.
      const labels2 = batch.labels.map((label, i) => (i === 3 ? label : (label + 1 + (i % 3)) % c.classes))
      const shares = [0.25, 0, 1, 0.6, 0.5, 0.999, 0.01, 0.7, 0.3, 0.2, 0.9, 0.4]
      batch.mixed = { labels2, mix: Float32Array.from(shares) }
    }
    const expected = trainReference(c, drawn)
    for (const variant of variants()) {
      compareTraining(variant.device ?? variant.isa!, await trainNative(c, drawn, variant), expected, tolerance(c.classes))
    }
  })

  it('a whole share of the first label gives the bits of one label', async () => {
    const c = { ...entropy(5, 9, 0.1), name: 'whole shares' }
    const drawn = drawTraining(c, 1)
    for (const variant of variants()) {
      const batch = drawn.batches[0]!
      delete batch.mixed
      const plain = hashOf(await trainNative(c, drawn, variant))
      batch.mixed = { labels2: batch.labels.map((label) => (label + 1) % 9), mix: new Float32Array(5).fill(1) }
      expect(hashOf(await trainNative(c, drawn, variant))).to.equal(plain)
    }
  })

  it('stays finite on logits of any size', async () => {
    const c = { ...entropy(4, 5, 0.1), name: 'large logits' }
    const drawn = drawTraining(c, 1)
    for (const { data } of drawn.tensors.values()) for (let i = 0; i < data.length; i++) data[i] = Math.fround(data[i]! * 1000)
    const expected = trainReference(c, drawn)
    for (const variant of variants()) {
      const result = await trainNative(c, drawn, variant)
      expect(result.loss[0]).to.satisfy(Number.isFinite)
      assertClose(`${variant.device ?? variant.isa}: loss`, result.loss, [expected.steps[0]!.loss], 1e-5)
    }
  })
})
