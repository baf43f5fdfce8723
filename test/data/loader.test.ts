/** Batches: the same bytes for every number of threads and after a skip; bad samples; the end of an iteration. */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { fromArrays, fromFiles } from '../../lib/data/arrays.js'
import type { Dataset, SplitName } from '../../lib/data/dataset.js'
import { loader, openLoader } from '../../lib/data/loader.js'
import type { LoaderBatch, LoaderSettings } from '../../lib/data/loader.js'
import { evalTransform } from '../../lib/data/presets.js'
import { synthetic } from '../../lib/data/synthetic.js'
import type { SyntheticOptions } from '../../lib/data/synthetic.js'
import type { TransformOptions } from '../../lib/native.js'
import { collect, errorOf, pseudoRandomBytes, temporaryFolder } from './helpers.js'
import { makeJpeg } from './make-jpeg.js'
import { rgbPng } from './make-png.js'

function digest({ images, labels, indices, bad }: LoaderBatch): string {
  return createHash('sha256').update(images).update(labels).update(indices).update(JSON.stringify(bad)).digest('hex')
}

async function digests(dataset: Dataset, settings: LoaderSettings): Promise<string[]> {
  return (await collect(loader(dataset, settings))).map(digest)
}

const bytesOf = (view: ArrayBufferView) => Buffer.from(view.buffer, view.byteOffset, view.byteLength)

describe('loader', () => {
  const folder = temporaryFolder()
  after(folder.remove)

  /** PNG and JPEG files of different sizes; those in `broken` hold text. */
  function files(name: string, count: number, broken: number[] = []): Dataset {
    const root = folder.files(name, {})
    const paths = Array.from({ length: count }, (_, i) => {
      const [width, height] = [20 + (i % 7), 17 + (i % 5)]
      const path = join(root, `${i}.jpg`)
      const jpeg = () => makeJpeg({ across: 3, down: 4, components: 3, levels: pseudoRandomBytes(36, i + 1) })
      const png = () => rgbPng(width, height, pseudoRandomBytes(width * height * 3, i + 1))
      writeFileSync(path, broken.includes(i) ? '<html>' : i % 2 === 0 ? jpeg() : png())
      return path
    })
    return fromFiles(paths, { labels: paths.map((_, i) => i % 3), classes: 3, split: 'train' })
  }

  const sets: [name: string, make: () => Dataset, settings: LoaderSettings][] = [
    ['files, random resized crop', () => files('threads', 50, [3, 30]), { batchSize: 7, size: 16, seed: 3, epoch: 5 }],
    [
      'files, in order, last batch kept',
      () => files('order', 23),
      { batchSize: 5, augment: 'none', size: 12, resize: 14, shuffle: false, dropLast: false },
    ],
    ['synthetic, pad and crop', () => synthetic({ split: 'train', count: 200, seed: 9 }), { batchSize: 32, seed: 1 }],
  ]
  for (const [name, make, settings] of sets) {
    it(`${name}: the same bytes on 1, 2 and 4 threads, however far ahead`, async () => {
      const dataset = make()
      const once = await digests(dataset, { ...settings, threads: 1 })
      expect(once.length).to.be.greaterThan(3)
      expect(await digests(dataset, { ...settings, threads: 2, ahead: 1 })).to.deep.equal(once)
      expect(await digests(dataset, { ...settings, threads: 4, ahead: 9 })).to.deep.equal(once)
    })

    it(`${name}: the same bytes after skipped batches`, async () => {
      const dataset = make()
      const all = await digests(dataset, settings)
      for (const skipBatches of [1, 3, all.length, all.length + 5]) {
        expect(await digests(dataset, { ...settings, skipBatches })).to.deep.equal(all.slice(skipBatches))
      }
    })
  }

  it('shuffles and drops the last batch for training, neither for validation', async () => {
    const { train, val } = synthetic({ count: 50 })
    const trained = await collect(loader(train, { batchSize: 20 }))
    expect(trained.map((b) => b.labels.length)).to.deep.equal([20, 20])
    expect(Array.from(trained[0]!.indices)).to.not.deep.equal(Array.from({ length: 20 }, (_, i) => i))
    const seen = await collect(loader(val, { batchSize: 20 }))
    expect(seen.map((b) => b.shape)).to.deep.equal([
      [20, 32, 32, 3],
      [20, 32, 32, 3],
      [10, 32, 32, 3],
    ])
    expect(seen.flatMap((b) => Array.from(b.labels))).to.deep.equal(Array.from({ length: 50 }, (_, i) => i % 10))
  })

  it('counts the batches left', async () => {
    const native = openLoader(synthetic({ split: 'val', count: 10 }), { batchSize: 4, skipBatches: 1 })
    expect(native.remaining).to.equal(2)
    await native.next()
    expect(native.remaining).to.equal(1)
    await native.next()
    expect([native.remaining, await native.next(), await native.next()]).to.deep.equal([0, null, null])
    native.dispose()
  })

  it('replaces bad samples by ones drawn from (seed, epoch, sample), and reports each', async () => {
    const broken = [0, 4, 5, 11]
    const dataset = files('replace', 12, broken)
    const batches = await collect(loader(dataset, { batchSize: 4, shuffle: false, augment: 'none', size: 8 }))
    const bad = batches.flatMap((b) => b.bad)
    expect([...new Set(bad.map((b) => b.index))].sort((a, b) => a - b)).to.deep.equal(broken)
    for (const { index, path, reason } of bad) {
      expect(path).to.match(new RegExp(`/replace/${index}\\.jpg$`))
      expect(reason).to.equal('found HTML or XML text, expected a JPEG or PNG image')
    }
    const indices = batches.flatMap((b) => Array.from(b.indices))
    indices.forEach((index, place) => {
      expect(broken).to.not.include(index)
      if (!broken.includes(place)) expect(index).to.equal(place)
    })
    const labels = batches.flatMap((b) => Array.from(b.labels))
    expect(labels).to.deep.equal(indices.map((i) => i % 3))
    const other = await collect(loader(dataset, { batchSize: 4, shuffle: false, augment: 'none', size: 8, seed: 1 }))
    expect(other.flatMap((b) => Array.from(b.indices))).to.not.deep.equal(indices)
  })

  it('skips bad samples with label -1 and zeros', async () => {
    const dataset = files('skip', 6, [1, 4])
    const [batch] = await collect(loader(dataset, { batchSize: 6, shuffle: false, augment: 'none', size: 8, onBadSample: 'skip' }))
    expect(Array.from(batch!.labels)).to.deep.equal([0, -1, 2, 0, -1, 2])
    expect(Array.from(batch!.indices)).to.deep.equal([0, 1, 2, 3, 4, 5])
    expect(batch!.bad.map((b) => b.index)).to.deep.equal([1, 4])
    const size = 8 * 8 * 3
    for (let i = 0; i < 6; i++) {
      expect(batch!.images.subarray(i * size, (i + 1) * size).every((v) => v === 0)).to.equal(i === 1 || i === 4)
    }
  })

  it('ends with ERR_SKNET_BAD_SAMPLES where nothing decodes, after the batches that do', async () => {
    const none = files('none', 8, [0, 1, 2, 3, 4, 5, 6, 7])
    const error = await errorOf(() => collect(loader(none, { batchSize: 4, shuffle: false, threads: 2, size: 8 })))
    expect(error).to.include({ code: 'ERR_SKNET_BAD_SAMPLES', path: join(folder.root, 'none/0.jpg'), exitCode: 3 })
    expect(await collect(loader(none, { batchSize: 4, shuffle: false, size: 8, onBadSample: 'skip' }))).to.have.length(2)
  })

  it('reports files that have gone, and folders in their place', async () => {
    const dataset = files('gone', 8)
    dataset.open()
    rmSync(join(folder.root, 'gone/2.jpg'))
    rmSync(join(folder.root, 'gone/5.jpg'))
    mkdirSync(join(folder.root, 'gone/5.jpg'))
    const [batch] = await collect(loader(dataset, { batchSize: 8, shuffle: false, size: 8, onBadSample: 'skip' }))
    expect(batch!.bad.map(({ index, reason }) => [index, reason])).to.deep.equal([
      [2, 'cannot open the file: No such file or directory'],
      [5, 'found a directory, expected a regular file'],
    ])
  })

  it('starts anew with every iteration and survives break and throw', async () => {
    const dataset = synthetic({ split: 'train', count: 2000 })
    const batches = loader(dataset, { batchSize: 50, threads: 2 })
    const firsts: string[] = []
    for (let i = 0; i < 30; i++) {
      try {
        for await (const batch of batches) {
          firsts.push(digest(batch))
          if (i % 2 === 0) throw new Error('stop')
          break
        }
      } catch (error) {
        expect((error as Error).message).to.equal('stop')
      }
    }
    expect(new Set(firsts).size).to.equal(1)
    expect(firsts).to.have.length(30)
  })

  it('gives batches of their own: later ones do not change them', async () => {
    const dataset = synthetic({ split: 'val', count: 60 })
    const batches: LoaderBatch[] = []
    const copies: Buffer[] = []
    for await (const batch of loader(dataset, { batchSize: 10, ahead: 1 })) {
      batches.push(batch)
      copies.push(Buffer.from(bytesOf(batch.images)))
    }
    batches.forEach((batch, i) => expect(bytesOf(batch.images).equals(copies[i]!)).to.be.true)
  })

  it('reads the pixels of fromArrays, copied when it is opened', async () => {
    const images = pseudoRandomBytes(4 * 5 * 6 * 3)
    const dataset = fromArrays({ images, labels: [2, 0, 1, 2], height: 5, width: 6, split: 'val' })
    dataset.open()
    const original = images.slice()
    images.fill(0)
    const transform: TransformOptions = { ...evalTransform(dataset), height: 5, width: 6, mean: [0, 0, 0], std: [1, 1, 1] }
    const [batch] = await collect(loader(dataset, { batchSize: 4, transform }))
    expect(Array.from(batch!.images, (v) => Math.round(v * 255))).to.deep.equal(Array.from(original))
    expect([dataset.classes, ...batch!.labels]).to.deep.equal([3, 2, 0, 1, 2])
  })
})

describe('synthetic data', () => {
  it('depends on the seed and the index only, and its splits differ', async () => {
    const images = async (options: SyntheticOptions & { split: SplitName }) => {
      const batches = await collect(loader(synthetic(options), { batchSize: 10, shuffle: false, augment: 'none' }))
      return digest(batches[0]!)
    }
    const base = await images({ split: 'train', count: 10 })
    expect(await images({ split: 'train', count: 500 })).to.equal(base)
    expect(await images({ split: 'train', count: 10, seed: 1 })).to.not.equal(base)
    expect(await images({ split: 'val', count: 10 })).to.not.equal(base)
  })

  it('is the same on every machine', async () => {
    const [batch] = await collect(loader(synthetic({ split: 'train', count: 20 }), { batchSize: 20, shuffle: false, augment: 'none' }))
    // (v - 0.5) / 0.25 back to bytes: what the native core drew.
    const bytes = Uint8Array.from(batch!.images, (v) => Math.round((v * 0.25 + 0.5) * 255))
    expect(createHash('sha256').update(bytes).digest('hex')).to.equal('cbc851954a9a95b0a9605e8e3195a8e10c92bd4402a1cff44fb9fa19e75a276c')
  })

  it('has balanced classes, named by shape and texture', () => {
    const set = synthetic({ split: 'val', count: 30, classes: 10 })
    expect(set.classNames).to.include.members(['disc texture 0', 'cross texture 1'])
    expect(Array.from(set.labels()).filter((label) => label === 7)).to.have.length(3)
  })
})
