/** Which samples a batch holds: balanced classes, the shares of ranks, and that all of it is the same for every thread count and after a resume. */
import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { fromArrays, fromFiles } from '../../lib/data/arrays.js'
import { loader, rankSlice } from '../../lib/data/loader.js'
import type { LoaderBatch, LoaderSettings } from '../../lib/data/loader.js'
import { synthetic } from '../../lib/data/synthetic.js'
import { thrown } from '../support/thrown.js'
import { collect, pseudoRandomBytes, temporaryFolder } from './helpers.js'
import { rgbPng } from './make-png.js'

const bytes = (view: ArrayBufferView) => Buffer.from(view.buffer, view.byteOffset, view.byteLength)
const parts = ({ images, labels, indices }: LoaderBatch) => [images, labels, indices].map((view) => bytes(view).toString('hex'))

/** 50 images of 8 x 8: 30 of class 0, 15 of class 1, 4 of class 2, none of class 3, 1 of class 4. */
const counts = [30, 15, 4, 0, 1]
const unbalanced = fromArrays({
  images: pseudoRandomBytes(50 * 8 * 8 * 3),
  labels: counts.flatMap((n, label) => new Array<number>(n).fill(label)),
  classes: 5,
  height: 8,
  width: 8,
})

describe('balanced sampling', () => {
  const settings: LoaderSettings = { batchSize: 10, balanced: true, dropLast: false, seed: 4 }

  it('visits every class that occurs equally often, and every sample of a class before one again', async () => {
    for (const epoch of [0, 1, 2]) {
      const batches = await collect(loader(unbalanced, { ...settings, epoch }))
      const labels = batches.flatMap((b) => Array.from(b.labels))
      const times = counts.map((_, label) => labels.filter((l) => l === label).length)
      expect(times.reduce((a, b) => a + b)).to.equal(50)
      // 50 over 4 classes: 12 each, and two of them, drawn anew each epoch, 13.
      expect([...times].sort((a, b) => a - b)).to.deep.equal([0, 12, 12, 13, 13])
      const visits = new Map<number, number>()
      for (const index of batches.flatMap((b) => Array.from(b.indices))) visits.set(index, (visits.get(index) ?? 0) + 1)
      counts.forEach((n, label) => {
        const first = counts.slice(0, label).reduce((a, b) => a + b, 0)
        const of = Array.from({ length: n }, (_, i) => visits.get(first + i) ?? 0)
        if (n > 0) expect(Math.max(...of) - Math.min(...of), `class ${label}`).to.be.at.most(1)
      })
    }
  })

  it('is another order each epoch', async () => {
    const order = async (epoch: number) => (await collect(loader(unbalanced, { ...settings, epoch }))).flatMap((b) => Array.from(b.indices))
    expect(await order(0)).to.deep.equal(await order(0))
    expect(await order(0)).to.not.deep.equal(await order(1))
  })

  it('crops and flips a repeated sample anew', async () => {
    const batches = await collect(loader(unbalanced, settings))
    const size = 8 * 8 * 3
    const views = batches.flatMap((b) =>
      Array.from(b.indices, (index, i) => ({ index, view: bytes(b.images.subarray(i * size, (i + 1) * size)).toString('hex') })),
    )
    const only = views.filter(({ index }) => index === 49).map(({ view }) => view)
    expect(only.length).to.be.at.least(12)
    // 3 x 3 places (padded by 1) and a flip: 18 views, of which 12 draws meet about 9.
    expect(new Set(only).size).to.be.greaterThan(4)
  })

  it('gives the same bytes on 1, 2, 4 and 8 threads and after a resume', async () => {
    const once = (await collect(loader(unbalanced, { ...settings, threads: 1 }))).map(parts)
    for (const threads of [2, 4, 8]) expect((await collect(loader(unbalanced, { ...settings, threads }))).map(parts)).to.deep.equal(once)
    expect((await collect(loader(unbalanced, { ...settings, skipBatches: 3 }))).map(parts)).to.deep.equal(once.slice(3))
  })

  it('needs an order that is drawn', () => {
    const error = thrown(() => loader(unbalanced, { batchSize: 5, balanced: true, shuffle: false }))
    expect(error).to.include({ code: 'ERR_SKNET_OPTION', option: 'balanced' })
  })
})

describe('ranks', () => {
  it('own whole shards, in order, none twice and none left out', () => {
    for (const shards of [1, 2, 3, 7, 8]) {
      for (let world = 1; world <= shards; world++) {
        const slices = Array.from({ length: world }, (_, rank) => rankSlice(shards * 4, 4, rank, world))
        expect(slices[0]![0]).to.equal(0)
        expect(slices.at(-1)![1]).to.equal(shards * 4)
        slices.forEach(([begin, end], i) => {
          expect([begin % 4, end % 4]).to.deep.equal([0, 0])
          expect(end).to.be.greaterThan(begin)
          if (i > 0) expect(begin).to.equal(slices[i - 1]![1])
        })
      }
    }
  })

  it('refuse what is no share', () => {
    expect(thrown(() => rankSlice(8, 4, 0, 3))).to.include({ code: 'ERR_SKNET_OPTION', option: 'world' })
    expect(thrown(() => rankSlice(8, 3, 0, 1))).to.include({ code: 'ERR_SKNET_OPTION', option: 'shardSize' })
    expect(thrown(() => rankSlice(8, 4, 2, 2))).to.include({ code: 'ERR_SKNET_OPTION', option: 'rank' })
  })

  const sets: [name: string, settings: LoaderSettings][] = [
    ['a training epoch', { batchSize: 16, shardSize: 4, seed: 3, epoch: 2 }],
    ['an epoch with an incomplete batch', { batchSize: 16, shardSize: 4, dropLast: false }],
    ['an evaluation', { batchSize: 16, shardSize: 4, shuffle: false, dropLast: false, augment: 'none' }],
    ['a balanced epoch', { batchSize: 16, shardSize: 4, balanced: true }],
  ]
  for (const [name, settings] of sets) {
    it(`${name}: what 1, 2, 3 and 4 ranks read on 1, 2, 4 and 8 threads is one batch, byte for byte`, async () => {
      // 75 images: four full batches and one of 11, of which the last of four ranks gets nothing.
      const dataset = synthetic({ split: 'train', count: 75, seed: 5 })
      const whole = (await collect(loader(dataset, { ...settings, threads: 1 }))).map(parts)
      for (const [world, threads, skipBatches] of [
        [1, 8, 0],
        [2, 4, 0],
        [3, 2, 0],
        [4, 1, 0],
        [4, 2, 2],
      ] as const) {
        const ranks = await Promise.all(
          Array.from({ length: world }, (_, rank) => collect(loader(dataset, { ...settings, world, rank, threads, skipBatches }))),
        )
        const joined = ranks[0]!.map((_, b) => [0, 1, 2].map((part) => ranks.map((batches) => parts(batches[b]!)[part]).join('')))
        expect(joined).to.deep.equal(whole.slice(skipBatches))
      }
    })
  }
})

describe('files that change', () => {
  const folder = temporaryFolder()
  after(folder.remove)

  it('are bad samples from then on; an odd time stamp alone is no change', async () => {
    const root = folder.files('change', {})
    const paths = [0, 1, 2, 3].map((i) => join(root, `${i}.png`))
    for (const path of paths) writeFileSync(path, rgbPng(4, 4, pseudoRandomBytes(48)))
    // A clock that was wrong: long ago, or years to come.
    utimesSync(paths[2]!, 1, 1)
    utimesSync(paths[3]!, 4e9, 4e9)
    const dataset = fromFiles(paths)
    await new Promise((resolve) => setTimeout(resolve, 20))
    writeFileSync(paths[1]!, rgbPng(4, 4, pseudoRandomBytes(48, 7)))
    const [batch] = await collect(loader(dataset, { batchSize: 4, size: 4, onBadSample: 'skip' }))
    expect(batch!.bad).to.deep.equal([{ index: 1, path: paths[1], reason: 'the file was changed after the data set was listed' }])
  })
})
