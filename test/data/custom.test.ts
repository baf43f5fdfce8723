/** Sources of one's own: the same batches as a data set of files gives, held back by a slow reader, and every failure a bad sample. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { fromFiles } from '../../lib/data/arrays.js'
import { customSource } from '../../lib/data/custom.js'
import type { CustomSample, CustomSource } from '../../lib/data/custom.js'
import { loader, openLoader } from '../../lib/data/loader.js'
import type { LoaderBatch, LoaderSettings } from '../../lib/data/loader.js'
import { createModel } from '../../lib/model/registry.js'
import { recipes } from '../../lib/train/recipes.js'
import { Trainer } from '../../lib/train/trainer.js'
import { evaluate } from '../../lib/train/evaluate.js'
import { collect, errorOf, pseudoRandomBytes, temporaryFolder } from './helpers.js'
import { rgbPng } from './make-png.js'

const count = 60
const encoded = Array.from({ length: count }, (_, i) => rgbPng(9 + (i % 3), 8, pseudoRandomBytes((9 + (i % 3)) * 24, i + 1)))
const labels = encoded.map((_, i) => i % 4)
const digest = ({ images, labels: l, indices, bad }: LoaderBatch) =>
  [images, l, indices].map((v) => createHash('sha256').update(v).digest('hex')).join() + JSON.stringify(bad)
const digests = async (source: CustomSource, settings: Partial<LoaderSettings> = {}) =>
  (await collect(loader(customSource(source), { batchSize: 8, size: 8, seed: 2, ...settings }))).map(digest)
const later = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 3))

async function* stream(of: readonly (CustomSample | Uint8Array)[] = encoded): AsyncGenerator<CustomSample | Uint8Array> {
  for (const sample of of) {
    if (Math.random() < 0.1) await later()
    yield sample
  }
}

describe('a custom source with get', () => {
  const folder = temporaryFolder()
  after(folder.remove)
  const source: CustomSource = {
    labels,
    get: async (i) => {
      await later()
      return { image: encoded[i]! }
    },
  }

  it('gives the batches that files of the same bytes give, for any number of threads and ranks, and after a resume', async () => {
    const root = folder.files('same', {})
    const paths = encoded.map((bytes, i) => {
      writeFileSync(join(root, `${i}.png`), bytes)
      return join(root, `${i}.png`)
    })
    const files = fromFiles(paths, { labels, split: 'train' })
    const expected = (await collect(loader(files, { batchSize: 8, size: 8, seed: 2 }))).map(digest)
    for (const threads of [1, 2, 4, 8]) expect(await digests(source, { threads })).to.deep.equal(expected)
    expect(await digests(source, { skipBatches: 3, ahead: 1 })).to.deep.equal(expected.slice(3))
    expect(await digests(source, { skipBatches: 100 })).to.deep.equal([])
    const balanced = (await collect(loader(files, { batchSize: 8, size: 8, balanced: true }))).map(digest)
    expect(await digests(source, { seed: 0, balanced: true })).to.deep.equal(balanced)
    const ranks = await Promise.all(
      [0, 1].map((rank) => collect(loader(customSource(source), { batchSize: 8, size: 8, seed: 2, world: 2, rank, shardSize: 4 }))),
    )
    const whole = await collect(loader(files, { batchSize: 8, size: 8, seed: 2 }))
    expect(whole.map((_, b) => ranks.flatMap((r) => Array.from(r[b]!.indices)))).to.deep.equal(whole.map((b) => Array.from(b.indices)))
  })

  it('takes pixels, bare arrays, and labels that come with the samples', async () => {
    const pixels = pseudoRandomBytes(2 * 3 * 3)
    const mixed = customSource({
      size: 3,
      classes: 9,
      split: 'val',
      get: (i) => [{ pixels, width: 3, height: 2, label: 5 }, { image: encoded[0]!, label: 8 }, encoded[1]!][i]!,
      name: 'mixed',
    })
    expect(mixed.labels()).to.have.length(0)
    const [batch] = await collect(loader(mixed, { batchSize: 3, size: 2 }))
    expect(Array.from(batch!.labels).slice(0, 2)).to.deep.equal([5, 8])
    // A bare array brings no label.
    expect(batch!.bad[0]).to.deep.include({ index: 2, path: 'mixed, sample 2', reason: 'the label is missing; expected a class index' })
  })

  it('asks for no more than the batches prepared ahead, and at most so many at a time', async () => {
    let [running, most, asked] = [0, 0, 0]
    const slow = customSource({
      labels,
      concurrency: 5,
      get: async (i) => {
        most = Math.max(most, ++running)
        asked++
        await later()
        running--
        return encoded[i]!
      },
    })
    const native = openLoader(slow, { batchSize: 4, ahead: 2, size: 8, shuffle: false })
    for (let batches = 1; batches <= 4; batches++) {
      await native.next()
      await new Promise((resolve) => setTimeout(resolve, 60))
      // Three slots: the one just handed out is copied and free again.
      expect(asked).to.be.at.most(4 * (batches + 3))
    }
    expect(most).to.equal(5)
    native.dispose()
    const before = asked
    await new Promise((resolve) => setTimeout(resolve, 40))
    expect(asked - before).to.be.at.most(5)
  })

  it('leaves the event loop free while it waits for the source', async () => {
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    const slow = customSource({
      labels: [0, 0],
      split: 'val',
      get: () => new Promise((resolve) => setTimeout(() => resolve(encoded[0]!), 100)),
    })
    await collect(loader(slow, { batchSize: 2, size: 8 }))
    clearInterval(timer)
    expect(turns).to.be.greaterThan(20)
  })

  it('reports what it throws or gives that is no image, and replaces it the same way each time', async () => {
    const faulty: CustomSource = {
      labels: labels.map((label, i) => (i === 11 ? 3 : label)),
      get: (i) => {
        if (i === 3) throw new Error('403 forbidden')
        if (i === 4) return Promise.reject(new Error('connection reset'))
        if (i === 5) return { image: new Uint8Array(5), path: 's3://bucket/5.jpg' }
        if (i === 6) return { pixels: new Uint8Array(5), width: 2, height: 2 }
        if (i === 7) return null as never
        if (i === 8) return { image: 'text' } as never
        if (i === 9) return { image: encoded[9]!, label: 4 }
        if (i === 10) return { image: encoded[10]!, label: -1 }
        return encoded[i]!
      },
    }
    const settings = { batchSize: 12, size: 8, shuffle: false, augment: 'none' } as const
    const [batch] = await collect(loader(customSource(faulty), settings))
    const own = batch!.bad.filter(({ index }, i, all) => all.findIndex((b) => b.index === index) === i)
    expect(own.map(({ index, reason }) => `${index} ${reason}`).sort()).to.deep.equal([
      '10 the label is -1; expected a class index',
      '3 403 forbidden',
      '4 connection reset',
      '5 found unknown data (first bytes 00 00 00 00), expected a JPEG or PNG image',
      '6 5 bytes are no RGB pixels of 2 x 2',
      '7 the source gave null instead of an image',
      '8 the source gave neither image nor pixels, as a Uint8Array',
      '9 the label is 4, expected one from 0 to 3',
    ])
    expect(own.find(({ index }) => index === 5)!.path).to.equal('s3://bucket/5.jpg')
    expect(Array.from(batch!.labels).every((label) => label >= 0)).to.equal(true)
    for (const threads of [1, 4])
      expect((await collect(loader(customSource(faulty), { ...settings, threads }))).map(digest)[0]).to.equal(digest(batch!))
  })

  it('that never gives anything right ends with ERR_SKNET_BAD_SAMPLES', async () => {
    const error = await errorOf(() => digests({ labels, get: () => Promise.reject(new Error('gone')) }))
    expect(error).to.include({ code: 'ERR_SKNET_BAD_SAMPLES', exitCode: 3 })
    expect(error.message).to.include('gone')
  })

  it('that never gives anything right is reported by the first sample in order, not by the first to fail', async () => {
    let asked = false
    const get = async (index: number): Promise<CustomSample> => {
      // The other thread's four samples, and all that is drawn to replace them, fail meanwhile.
      if (index === 0 && !asked) {
        asked = true
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      throw new Error(`no sample ${index}`)
    }
    const dataset = customSource({ labels: labels.slice(0, 8), get })
    const error = await errorOf(() => collect(loader(dataset, { batchSize: 8, size: 8, shuffle: false, threads: 2 })))
    expect(error).to.include({ code: 'ERR_SKNET_BAD_SAMPLES', path: 'custom source, sample 0' })
  })

  it('trains and is evaluated', async () => {
    const small = Array.from({ length: 40 }, (_, i) => ({
      pixels: pseudoRandomBytes(32 * 32 * 3, i + 1),
      width: 32,
      height: 32,
      label: i % 2,
    }))
    const set = (split: 'train' | 'val') =>
      customSource({ size: 40, classes: 2, split, imageSize: { height: 32, width: 32 }, get: async (i) => (await later(), small[i]!) })
    const model = createModel('sknet_tiny_cifar', { classes: 2, seed: 0 })
    const trainer = new Trainer(model, { recipe: recipes.cifar({ epochs: 1 }), batchSize: 8, threads: 2 })
    const types: string[] = []
    for await (const event of trainer.fit({ train: set('train'), val: set('val') })) types.push(event.type)
    expect(types.filter((type) => type === 'step')).to.have.length(5)
    expect((await evaluate(model, set('val'))).images).to.equal(40)
    model.dispose()
  })
})

describe('a custom source that is iterated', () => {
  const source: CustomSource = { labels, window: 16, [Symbol.asyncIterator]: () => stream() }

  it('is shuffled within windows, the same for any number of threads and ranks, and after a resume', async () => {
    const batches = await collect(loader(customSource(source), { batchSize: 8, size: 8, seed: 2 }))
    const indices = batches.flatMap((b) => Array.from(b.indices))
    indices.forEach((index, position) => expect(Math.floor(index / 16)).to.equal(Math.floor(position / 16)))
    expect(indices).to.not.deep.equal([...indices].sort((a, b) => a - b))
    expect(new Set(indices).size).to.equal(56)
    const expected = batches.map(digest)
    for (const threads of [1, 4, 8]) expect(await digests(source, { threads })).to.deep.equal(expected)
    expect(await digests(source, { skipBatches: 3 })).to.deep.equal(expected.slice(3))
    const ranks = await Promise.all(
      [0, 1].map((rank) => collect(loader(customSource(source), { batchSize: 8, size: 8, seed: 2, world: 2, rank, shardSize: 4 }))),
    )
    expect(batches.map((_, b) => ranks.flatMap((r) => Array.from(r[b]!.indices)))).to.deep.equal(batches.map((b) => Array.from(b.indices)))
    const other = await collect(loader(customSource(source), { batchSize: 8, size: 8, seed: 2, epoch: 1 }))
    expect(other.flatMap((b) => Array.from(b.indices))).to.not.deep.equal(indices)
  })

  it('keeps its order where nothing is shuffled', async () => {
    const batches = await collect(loader(customSource({ ...source, split: 'val' }), { batchSize: 8, size: 8 }))
    expect(batches.flatMap((b) => Array.from(b.indices))).to.deep.equal(encoded.map((_, i) => i))
  })

  it('is read no further than the window of the batches prepared ahead, and closed when the consumer leaves', async () => {
    let [given, closed] = [0, false]
    const watched: CustomSource = {
      ...source,
      async *[Symbol.asyncIterator]() {
        try {
          for (const sample of encoded) {
            given++
            yield sample
          }
        } finally {
          closed = true
        }
      },
    }
    for await (const _ of loader(customSource(watched), { batchSize: 4, ahead: 1, size: 8, threads: 1 })) {
      await new Promise((resolve) => setTimeout(resolve, 30))
      break
    }
    expect(given).to.be.at.most(32)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(closed).to.equal(true)
  })

  it('that ends early or fails has bad samples from there on, skipped', async () => {
    const ends: CustomSource = { ...source, [Symbol.asyncIterator]: () => stream(encoded.slice(0, 20)) }
    const settings = { batchSize: 8, size: 8, shuffle: false }
    const bad = (await collect(loader(customSource(ends), settings))).flatMap((b) => b.bad)
    expect(bad).to.have.length(56 - 20)
    expect(bad[0]).to.deep.include({ index: 20, reason: 'the source ended after 20 samples' })
    const fails: CustomSource = {
      ...source,
      async *[Symbol.asyncIterator]() {
        yield* stream(encoded.slice(0, 5))
        throw new Error('disk on fire')
      },
    }
    const batches = await collect(loader(customSource(fails), settings))
    expect(batches[0]!.bad[0]).to.deep.include({ index: 5, reason: 'the source failed after 5 samples: disk on fire' })
    expect(Array.from(batches[0]!.labels)).to.deep.equal([0, 1, 2, 3, 0, -1, -1, -1])
  })
})

describe('options of a custom source', () => {
  const get = () => encoded[0]!
  const wrong: [option: string, source: unknown][] = [
    ['source', null],
    ['source', { labels: [1] }],
    ['size', { get, classes: 2 }],
    ['size', { get, size: 0, classes: 2 }],
    ['classes', { get, size: 3 }],
    ['labels', { get, size: 3, labels: [1, 2] }],
    ['labels[1]', { get, labels: [1, -2] }],
    ['classNames', { get, labels: [0, 1], classes: 3, classNames: ['a'] }],
    ['window', { get, labels: [0], window: 0 }],
    ['imageSize.width', { get, labels: [0], imageSize: { height: 1 } }],
    ['lables', { get, lables: [0], size: 1, classes: 1 }],
  ]
  for (const [option, source] of wrong) {
    it(`${option} is refused: ${JSON.stringify(source)}`, async () => {
      expect(await errorOf(() => customSource(source as CustomSource))).to.include({ code: 'ERR_SKNET_OPTION', option })
    })
  }

  it('balanced needs labels known beforehand, in any order', async () => {
    const unknown = customSource({ get, size: 2, classes: 2 })
    expect((await errorOf(() => loader(unknown, { batchSize: 1, balanced: true }))).option).to.equal('balanced')
  })

  it('takes an object of a class', async () => {
    class Pictures {
      labels = [0, 0]
      get = get
    }
    expect(customSource(new Pictures()).size).to.equal(2)
  })
})
