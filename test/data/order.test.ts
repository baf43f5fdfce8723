/** In which order an epoch visits the samples. */
import { expect } from 'chai'
import { fromArrays } from '../../lib/data/arrays.js'
import { loader } from '../../lib/data/loader.js'
import type { LoaderSettings } from '../../lib/data/loader.js'
import { collect } from './helpers.js'
import { philoxStream } from './philox.js'

const count = 101
const dataset = fromArrays({ images: new Uint8Array(count * 3), labels: new Int32Array(count), height: 1, width: 1 })

async function orderOf(settings: Partial<LoaderSettings>): Promise<number[]> {
  const batches = await collect(loader(dataset, { batchSize: 8, dropLast: false, augment: 'none', ...settings }))
  return batches.flatMap((b) => Array.from(b.indices))
}

describe('order of an epoch', () => {
  const identity = Array.from({ length: count }, (_, i) => i)

  it('is the order of the data set without shuffling', async () => {
    expect(await orderOf({ shuffle: false, seed: 5, epoch: 2 })).to.deep.equal(identity)
  })

  it('is the Fisher-Yates permutation of (seed, epoch)', async () => {
    for (const [seed, epoch] of [
      [0, 0],
      [1, 0],
      [123456789012, 77],
    ] as const) {
      const random = philoxStream(seed, epoch, 0, 'order')
      const expected = [...identity]
      for (let i = count; i > 1; i--) {
        const j = random.below(i)
        ;[expected[i - 1], expected[j]] = [expected[j]!, expected[i - 1]!]
      }
      expect(await orderOf({ shuffle: true, seed, epoch })).to.deep.equal(expected)
    }
  })

  it('is another one for every epoch and seed, each a permutation', async () => {
    const seen = new Set<string>()
    for (const settings of [{ epoch: 0 }, { epoch: 1 }, { epoch: 2 }, { seed: 1 }, { seed: 2 }]) {
      const order = await orderOf({ shuffle: true, ...settings })
      expect([...order].sort((a, b) => a - b)).to.deep.equal(identity)
      seen.add(order.join())
    }
    expect(seen.size).to.equal(5)
  })

  it('puts every sample everywhere about equally often', async () => {
    const firsts = new Array<number>(4).fill(0)
    const small = fromArrays({ images: new Uint8Array(12), labels: new Int32Array(4), height: 1, width: 1 })
    for (let epoch = 0; epoch < 400; epoch++) {
      for await (const { indices } of loader(small, { batchSize: 1, shuffle: true, augment: 'none', epoch, threads: 1 })) {
        firsts[indices[0]!]!++
        break
      }
    }
    // 400 draws of probability 1/4: five standard deviations are 43.
    firsts.forEach((n) => expect(n).to.be.closeTo(100, 43))
  })
})
