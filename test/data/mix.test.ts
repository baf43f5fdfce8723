/** Mixup and cutmix of batches, against the images that were not mixed and the shares the batch tells. */
import { expect } from 'chai'
import { fromArrays } from '../../lib/data/arrays.js'
import { loader, type LoaderBatch, type LoaderSettings } from '../../lib/data/loader.js'
import { plainTransform } from './golden.js'
import { collect, errorOf, pseudoRandomBytes } from './helpers.js'

const [count, side] = [24, 8]
const floats = side * side * 3
const dataset = fromArrays({
  images: pseudoRandomBytes(count * floats, 5),
  labels: Array.from({ length: count }, (_, i) => i),
  height: side,
  width: side,
})

function batches(settings: Partial<LoaderSettings> = {}): Promise<LoaderBatch[]> {
  return collect(loader(dataset, { batchSize: 12, seed: 4, threads: 2, augment: 'none', ...settings }))
}

const image = (batch: LoaderBatch, n: number) => batch.images.subarray(n * floats, (n + 1) * floats)

describe('mixup and cutmix', () => {
  it('without them a batch has no second labels', async () => {
    const [batch] = await batches()
    expect(batch).to.not.have.any.keys('labels2', 'mix')
  })

  it('mixup: each image keeps its share and gets the rest of its partner', async () => {
    const [plain, mixed] = [await batches(), await batches({ mixup: 0.4 })]
    const shares = new Set<number>()
    for (const [b, batch] of mixed.entries()) {
      expect(batch.labels).to.deep.equal(plain[b]!.labels)
      for (let n = 0; n < 12; n++) {
        const other = n ^ 1
        expect(batch.labels2![n]).to.equal(batch.labels[other])
        const share = batch.mix![n]!
        expect(batch.mix![other]).to.equal(share)
        shares.add(share)
        const [own, partner] = [image(plain[b]!, n), image(plain[b]!, other)]
        image(batch, n).forEach((v, i) => expect(v).to.be.closeTo(share * own[i]! + (1 - share) * partner[i]!, 1e-5))
      }
    }
    expect(shares.size).to.equal(12)
  })

  it('cutmix: pairs exchange a rectangle, and the share is what is left of an image', async () => {
    const [plain, mixed] = [await batches(), await batches({ cutmix: 1 })]
    for (const [b, batch] of mixed.entries()) {
      for (let n = 0; n < 12; n++) {
        const [own, partner, got] = [image(plain[b]!, n), image(plain[b]!, n ^ 1), image(batch, n)]
        const taken: [x: number, y: number][] = []
        for (let p = 0; p < side * side; p++) {
          const at = got.subarray(3 * p, 3 * p + 3)
          const same = (from: Float32Array) => at.every((v, c) => v === from[3 * p + c]!)
          expect(same(own) || same(partner)).to.be.true
          if (!same(own)) taken.push([p % side, Math.floor(p / side)])
        }
        expect(batch.mix![n]).to.be.closeTo(1 - taken.length / (side * side), 1e-6)
        const [xs, ys] = [new Set(taken.map(([x]) => x)), new Set(taken.map(([, y]) => y))]
        expect(taken.length).to.equal(xs.size * ys.size)
        for (const set of [xs, ys]) if (set.size > 0) expect(Math.max(...set) - Math.min(...set)).to.equal(set.size - 1)
      }
    }
  })

  for (const strength of [0.2, 1, 4]) {
    it(`shares follow Beta(${strength}, ${strength})`, async () => {
      const many = fromArrays({ images: new Uint8Array(4000 * 3), labels: new Int32Array(4000), height: 1, width: 1, classes: 1 })
      const transform = plainTransform(1, 1)
      const [batch] = await collect(loader(many, { batchSize: 4000, mixup: strength, transform }))
      const shares = Array.from(batch!.mix!).filter((_, n) => n % 2 === 0)
      const mean = shares.reduce((sum, v) => sum + v, 0) / shares.length
      const moment = (power: number) => shares.reduce((sum, v) => sum + (v - 0.5) ** power, 0) / shares.length
      // Variance and fourth moment of Beta(a, a); 2000 draws: three standard errors and more.
      const variance = 1 / (4 * (2 * strength + 1))
      const fourth = 3 / (16 * (2 * strength + 1) * (2 * strength + 3))
      expect(mean).to.be.closeTo(0.5, 4 * Math.sqrt(variance / 2000))
      expect(moment(2)).to.be.closeTo(variance, 4 * Math.sqrt((fourth - variance ** 2) / 2000))
      expect(moment(4)).to.be.closeTo(fourth, 0.15 * fourth)
    })
  }

  it('with both, some pairs get the one and some the other', async () => {
    const [plain, mixed] = [await batches(), await batches({ mixup: 1, cutmix: 1 })]
    const exchanged = mixed.flatMap((batch, b) =>
      [0, 2, 4, 6, 8, 10].map((n) => image(batch, n).every((v, i) => v === image(plain[b]!, n)[i] || v === image(plain[b]!, n + 1)[i])),
    )
    expect(new Set(exchanged).size).to.equal(2)
  })

  it('are the same bytes on any number of threads, for any rank, and after a resume', async () => {
    const settings = { mixup: 0.3, cutmix: 0.7 }
    const one = await batches({ ...settings, threads: 1 })
    for (const threads of [2, 4, 8]) expect(await batches({ ...settings, threads })).to.deep.equal(one)
    expect(await batches({ ...settings, skipBatches: 1 })).to.deep.equal(one.slice(1))
    const ranks = await Promise.all([0, 1].map((rank) => batches({ ...settings, rank, world: 2, shardSize: 6 })))
    for (const [b, whole] of one.entries()) {
      const parts = ranks.map((rank) => rank[b]!)
      expect(Float32Array.from(parts.flatMap((part) => [...part.images]))).to.deep.equal(whole.images)
      expect(Float32Array.from(parts.flatMap((part) => [...part.mix!]))).to.deep.equal(whole.mix)
    }
  })

  it('leave the last image of an odd batch alone', async () => {
    const [plain] = await batches({ batchSize: 7 })
    const [batch] = await batches({ batchSize: 7, mixup: 1 })
    expect(image(batch!, 6)).to.deep.equal(image(plain!, 6))
    expect([batch!.labels2![6], batch!.mix![6]]).to.deep.equal([batch!.labels[6], 1])
  })

  it('refuse strengths below 0 and ranks with odd shards', async () => {
    expect((await errorOf(() => loader(dataset, { batchSize: 2, mixup: -1 }))).option).to.equal('mixup')
    const odd = { batchSize: 6, cutmix: 1, shardSize: 3, rank: 0, world: 2 }
    expect((await errorOf(() => loader(dataset, odd))).option).to.equal('shardSize')
  })
})
