/** CIFAR binaries against a direct reading in JavaScript, and what is refused. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { cifar10, cifar100 } from '../../lib/data/cifar.js'
import { loader } from '../../lib/data/loader.js'
import { cifarRecords, collect, errorOf, temporaryFolder } from './helpers.js'

/** Record planes R, G, B of 32 x 32 to interleaved values on the 0..1 scale. */
function expectedPixels(records: Uint8Array, labelBytes: number, index: number): number[] {
  const start = index * (labelBytes + 3072) + labelBytes
  return Array.from({ length: 3072 }, (_, i) => records[start + (i % 3) * 1024 + Math.floor(i / 3)]! / 255)
}

const raw = { shuffle: false, dropLast: false, batchSize: 4, augment: 'none' } as const

describe('CIFAR', () => {
  const folder = temporaryFolder()
  after(folder.remove)

  it('reads CIFAR-10 files in the order of their numbers', async () => {
    const parts = [cifarRecords([[0], [1], [2]], 1), cifarRecords([[3]], 2), cifarRecords([[4], [5]], 3)]
    const dir = folder.files('c10', {
      'data_batch_10.bin': parts[2]!,
      'data_batch_2.bin': parts[1]!,
      'data_batch_1.bin': parts[0]!,
      'test_batch.bin': cifarRecords([[9], [8]], 4),
      'batches.meta.txt': 'a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n',
    })
    const { train, val } = cifar10(dir)
    expect([train.size, val.size, train.classes, train.split, val.split]).to.deep.equal([6, 2, 10, 'train', 'val'])
    expect(train.classNames).to.deep.equal([...'abcdefghij'])
    expect(Array.from(train.labels())).to.deep.equal([0, 1, 2, 3, 4, 5])
    expect(Array.from(val.labels())).to.deep.equal([9, 8])
    const batches = await collect(loader(train, raw))
    expect(batches.map((b) => b.shape)).to.deep.equal([
      [4, 32, 32, 3],
      [2, 32, 32, 3],
    ])
    const { mean, std } = train.defaults
    const all = batches.flatMap((b) => Array.from(b.images))
    const origin = [0, 0, 0, 1, 2, 2]
    const first = [0, 0, 0, 3, 4, 4]
    for (let n = 0; n < 6; n++) {
      const expected = expectedPixels(parts[origin[n]!]!, 1, n - first[n]!)
      expected.forEach((v, i) => expect(all[n * 3072 + i]).to.be.closeTo((v - mean[i % 3]!) / std[i % 3]!, 1e-5))
    }
  })

  it('reads fine and coarse labels of CIFAR-100', () => {
    const records = cifarRecords(
      [
        [3, 42],
        [19, 99],
      ],
      5,
    )
    const dir = folder.files('c100', { 'train.bin': records, 'test.bin': records, 'coarse_label_names.txt': 'x\n'.repeat(20) })
    expect(Array.from(cifar100(dir, { split: 'test' }).labels())).to.deep.equal([42, 99])
    const coarse = cifar100(dir, { split: 'train', labels: 'coarse' })
    expect(Array.from(coarse.labels())).to.deep.equal([3, 19])
    expect([coarse.classes, coarse.classNames[19], coarse.kind]).to.deep.equal([20, 'x', 'cifar100'])
  })

  it('needs only the split that is asked for', async () => {
    const dir = folder.files('val-only', { 'test_batch.bin': cifarRecords([[1]], 1) })
    expect(cifar10(dir, { split: 'val' }).size).to.equal(1)
    const error = await errorOf(() => cifar10(dir))
    expect(error).to.include({ code: 'ERR_SKNET_DATA', path: dir, expected: 'data_batch_*.bin or train.bin of cifar10' })
  })

  for (const [what, bytes] of [
    ['empty', 0],
    ['a byte short', 3072],
    ['a byte long', 3074],
    ['of CIFAR-100 records', 2 * 3074],
  ] as const) {
    it(`refuses a file that is ${what}, before reading it`, async () => {
      const dir = folder.files(`size-${bytes}`, { 'data_batch_1.bin': new Uint8Array(bytes) })
      const error = await errorOf(() => cifar10(dir, { split: 'train' }))
      expect(error).to.include({ code: 'ERR_SKNET_DATA', path: join(dir, 'data_batch_1.bin'), got: `${bytes} bytes`, exitCode: 3 })
      expect(error.expected).to.equal('a whole number of cifar10 records of 3073 bytes')
    })
  }

  it('refuses a label beyond the classes, naming the image', async () => {
    const dir = folder.files('labels', { 'data_batch_1.bin': cifarRecords([[0], [10]], 1) })
    const error = await errorOf(() => cifar10(dir, { split: 'train' }).open())
    expect(error).to.include({ code: 'ERR_SKNET_DATA', got: 10, expected: 'a label from 0 to 9', path: dir })
    expect(error.message).to.include('image 1')
  })

  it('refuses class names of another number', async () => {
    const dir = folder.files('names', { 'data_batch_1.bin': cifarRecords([[0]], 1), 'batches.meta.txt': 'one\ntwo\n' })
    const error = await errorOf(() => cifar10(dir, { split: 'train' }))
    expect(error).to.include({ code: 'ERR_SKNET_DATA', got: '2 class names', path: join(dir, 'batches.meta.txt') })
  })

  it('notices a file that has shrunk since it was listed', async () => {
    const dir = folder.files('shrunk', { 'data_batch_1.bin': cifarRecords([[0], [1]], 1) })
    const dataset = cifar10(dir, { split: 'train' })
    folder.files('shrunk', { 'data_batch_1.bin': new Uint8Array(3000) })
    const error = await errorOf(() => dataset.open())
    expect(error).to.include({ code: 'ERR_SKNET_DATA', got: '3000 bytes', path: join(dir, 'data_batch_1.bin') })
  })

  it('reads the real CIFAR-10, balanced and with its published statistics', async function () {
    const dir = resolve(import.meta.dirname, '../../../shared/data/cifar10')
    if (!existsSync(join(dir, 'data_batch_1.bin'))) this.skip()
    const { train, val } = cifar10(dir)
    expect(train.classNames[0]).to.equal('airplane')
    for (const dataset of [train, val]) {
      const counts = new Array<number>(10).fill(0)
      dataset.labels().forEach((label) => counts[label]!++)
      expect(new Set(counts)).to.deep.equal(new Set([dataset.size / 10]))
    }
    let sum = 0
    let squares = 0
    let count = 0
    for await (const { images } of loader(val, { ...raw, batchSize: 1000 })) {
      for (const v of images) {
        sum += v
        squares += v * v
      }
      count += images.length
    }
    expect(sum / count).to.be.closeTo(0, 0.05)
    expect(Math.sqrt(squares / count)).to.be.closeTo(1, 0.05)
  })
})
