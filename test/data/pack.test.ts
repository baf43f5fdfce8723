/** Packing: the same bytes whatever the threads and however often it was interrupted; what is read back; an index that lies. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { fromFiles } from '../../lib/data/arrays.js'
import type { Dataset } from '../../lib/data/dataset.js'
import { loader } from '../../lib/data/loader.js'
import type { LoaderBatch } from '../../lib/data/loader.js'
import { packDataset } from '../../lib/data/pack.js'
import type { PackEvent, PackOptions } from '../../lib/data/pack.js'
import { packed } from '../../lib/data/packed.js'
import { synthetic } from '../../lib/data/synthetic.js'
import { verifyPacked } from '../../lib/data/verify-pack.js'
import { collect, errorOf, pseudoRandomBytes, temporaryFolder } from './helpers.js'
import { makeJpeg } from './make-jpeg.js'
import { rgbPng } from './make-png.js'

const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const digests = (dir: string) => Object.fromEntries(readdirSync(dir).map((name) => [name, hash(readFileSync(join(dir, name)))]))

async function pack(dataset: Dataset, dir: string, options?: PackOptions): Promise<PackEvent[]> {
  const events: PackEvent[] = []
  for await (const event of packDataset(dataset, dir, options)) events.push(event)
  return events
}

function viewOf({ images, labels }: LoaderBatch, i: number): string {
  const size = images.length / labels.length
  return `${labels[i]} ${hash(Buffer.from(images.buffer, images.byteOffset + i * size * 4, size * 4))}`
}

/** Label and pixels of every image. */
async function contents(dataset: Dataset): Promise<string[]> {
  const batches = await collect(loader(dataset, { batchSize: 50, shuffle: false, dropLast: false, augment: 'none', size: 16, resize: 16 }))
  expect(batches.flatMap((b) => b.bad)).to.deep.equal([])
  return batches.flatMap((b) => Array.from(b.labels, (_, i) => viewOf(b, i)))
}

describe('packing', () => {
  const folder = temporaryFolder()
  after(folder.remove)

  /** JPEG and PNG files of several sizes; those in `broken` hold text. */
  function files(name: string, count: number, broken: number[] = []): Dataset {
    const root = folder.files(name, {})
    const paths = Array.from({ length: count }, (_, i) => {
      const [width, height] = [20 + (i % 7), 17 + (i % 5)]
      const path = join(root, `${i}.jpg`)
      const jpeg = () => makeJpeg({ across: 3, down: 4, components: 3, levels: pseudoRandomBytes(36, i + 1) })
      writeFileSync(
        path,
        broken.includes(i) ? 'text' : i % 2 === 0 ? jpeg() : rgbPng(width, height, pseudoRandomBytes(width * height * 3, i + 1)),
      )
      return path
    })
    return fromFiles(paths, { labels: paths.map((_, i) => i % 3), classes: 3, split: 'train', classNames: ['a', 'b', 'c'] })
  }

  const modes: [name: string, make: () => Dataset, options: PackOptions][] = [
    ['original files', () => files('original', 60), { shardBytes: 20_000 }],
    ['JPEG, resized', () => files('jpeg', 60), { mode: 'jpeg', shortSide: 16, shardBytes: 20_000, info: true }],
    ['pixels', () => synthetic({ split: 'val', count: 60 }), { shardBytes: 60_000 }],
  ]
  for (const [name, make, options] of modes) {
    it(`${name}: the same bytes for 1, 2 and 4 threads, and after an end at any shard`, async () => {
      const dataset = make()
      const dir = (n: number) => join(folder.root, `out-${name}-${n}`)
      const events = await pack(dataset, dir(1), { ...options, threads: 1 })
      const end = events.at(-1)!
      expect(end).to.include({ type: 'end', images: 60, done: 60, total: 60 })
      expect(events.filter((e) => e.type === 'shard').length).to.be.greaterThan(2)
      const once = digests(dir(1))
      for (const threads of [2, 4]) {
        await pack(dataset, dir(threads), { ...options, threads })
        expect(digests(dir(threads))).to.deep.equal(once)
      }
      for (const stopAt of [1, 2]) {
        const out = dir(10 + stopAt)
        let shards = 0
        for await (const event of packDataset(dataset, out, options)) if (event.type === 'shard' && (shards += 1) === stopAt) break
        // What a kill in the middle of a shard leaves, and one that is there without its index.
        writeFileSync(join(out, `.${dataset.split}-000009.tar.tmp`), 'half')
        renameSync(join(out, `${dataset.split}-00000${stopAt - 1}.tar.index`), join(out, 'gone.index'))
        const again = await pack(dataset, out, options)
        if (stopAt > 1) expect(again[0]).to.include({ type: 'resumed', shards: stopAt - 1 })
        const { 'gone.index': _gone, ...rest } = digests(out)
        expect(rest).to.deep.equal(once)
      }
    })
  }

  it('keeps files byte for byte, pixels pixel for pixel, and the order where it is asked to', async () => {
    const originals = files('kept', 30)
    await pack(originals, join(folder.root, 'kept-out'), { shuffle: false, shardBytes: 20_000 })
    const kept = await packed(join(folder.root, 'kept-out'), { split: 'train' })
    expect(await contents(kept)).to.deep.equal(await contents(originals))
    expect([kept.classNames, kept.warnings]).to.deep.equal([['a', 'b', 'c'], []])

    const drawn = synthetic({ split: 'val', count: 30 })
    await pack(drawn, join(folder.root, 'drawn-out'))
    const again = await packed(join(folder.root, 'drawn-out'), { split: 'val' })
    expect(await contents(again)).to.deep.equal(await contents(drawn))
    expect([again.imageSize, again.defaults]).to.deep.equal([drawn.imageSize, drawn.defaults])
  })

  it('permutes a training split by the seed', async () => {
    const dataset = files('permuted', 30)
    const orders: string[] = []
    for (const seed of [1, 2]) {
      const out = join(folder.root, `permuted-${seed}`)
      await pack(dataset, out, { seed })
      const found = await contents(await packed(out, { split: 'train' }))
      expect([...found].sort()).to.deep.equal((await contents(dataset)).sort())
      orders.push(found.join())
    }
    expect(orders[0]).to.not.equal(orders[1])
  })

  it('leaves out what does not decode, and tells path and reason', async () => {
    const dataset = files('left-out', 20, [3, 7])
    const events = await pack(dataset, join(folder.root, 'left-out-out'), { shuffle: false, shardBytes: 10_000 })
    const end = events.at(-1) as Extract<PackEvent, { type: 'end' }>
    expect([end.images, end.bad.map(({ path }) => path.split('/').at(-1))]).to.deep.equal([18, ['3.jpg', '7.jpg']])
    expect(end.bad[0]!.reason).to.match(/expected a JPEG or PNG/)
    const again = await pack(dataset, join(folder.root, 'left-out-out'), { shuffle: false, shardBytes: 10_000 })
    expect(again.map(({ type }) => type)).to.deep.equal(['resumed', 'end'])
    expect((again.at(-1) as typeof end).bad.map(({ index }) => index)).to.deep.equal([3, 7])
  })

  it('refuses a folder that holds something else, and never removes what is not its own', async () => {
    const out = join(folder.root, 'other')
    await pack(files('other-data', 10), out, { seed: 1 })
    const error = await errorOf(() => pack(files('other-data', 10), out, { seed: 2 }))
    expect(error).to.include({ code: 'ERR_SKNET_DATA', path: out })
    writeFileSync(join(out, 'mine.tar'), 'precious')
    await pack(files('other-data', 10), out, { seed: 2, fresh: true })
    expect(readFileSync(join(out, 'mine.tar'), 'utf8')).to.equal('precious')
    const foreign = folder.files('foreign', { 'a.tar': 'x' })
    expect((await errorOf(() => pack(files('other-data', 10), foreign))).message).to.match(/holds shards such as a\.tar/)
  })

  const wrong: [option: string, options: Record<string, unknown>][] = [
    ['mode', { mode: 'webp' }],
    ['quality', { quality: 101 }],
    ['shortSide', { mode: 'original', shortSide: 3 }],
    ['shardBytes', { shardBytes: 0 }],
    ['sharBytes', { sharBytes: 1 }],
  ]
  for (const [option, options] of wrong) {
    it(`refuses ${JSON.stringify(options)}`, async () => {
      const dataset = files('wrong', 2)
      expect(await errorOf(() => pack(dataset, join(folder.root, 'wrong-out'), options))).to.include({ code: 'ERR_SKNET_OPTION', option })
      expect(readdirSync(folder.root)).to.not.include('wrong-out')
    })
  }

  it("is read by Python's tarfile, header by header", function () {
    try {
      execFileSync('python3', ['-c', 'import tarfile'], { stdio: 'ignore' })
    } catch {
      this.skip()
    }
    return (async () => {
      const out = join(folder.root, 'python')
      await pack(files('python-data', 12), out, { shuffle: false, info: true, mode: 'jpeg', shortSide: 16 })
      const pixels = join(folder.root, 'python-pixels')
      await pack(synthetic({ split: 'val', count: 4, size: 20 }), pixels)
      const script = `
import glob, json, sys, tarfile
result = {}
for path in sorted(glob.glob(sys.argv[1] + '/*.tar') + glob.glob(sys.argv[2] + '/*.tar')):
    with tarfile.open(path, 'r:') as archive:
        for m in archive:
            data = archive.extractfile(m).read()
            text = data.decode() if m.name.endswith(('.cls', '.json')) else data[:6].hex()
            result[path.split('/')[-1] + ' ' + m.name] = [m.size == len(data), m.mtime, m.uid, m.gid, m.mode, m.uname, text]
print(json.dumps(result))`
      const found = JSON.parse(execFileSync('python3', ['-c', script, out, pixels], { encoding: 'utf8' })) as Record<string, unknown[]>
      const names = Object.keys(found)
      expect(names.filter((n) => n.startsWith('train') && n.endsWith('.jpg'))).to.have.length(12)
      expect(names.filter((n) => n.startsWith('val') && n.endsWith('.npy'))).to.have.length(4)
      for (const [name, [whole, ...rest]] of Object.entries(found)) {
        expect(whole, name).to.equal(true)
        expect(rest.slice(0, 5)).to.deep.equal([0, 0, 0, 0o644, ''])
      }
      expect(found['train-000000.tar 000000004.cls']!.at(-1)).to.equal('1')
      expect(JSON.parse(found['train-000000.tar 000000004.json']!.at(-1) as string)).to.include({ class: 1 })
      expect(found['val-000000.tar 000000000.npy']!.at(-1)).to.equal(Buffer.from('\x93NUMPY', 'latin1').toString('hex'))
    })()
  })
})

describe('an index or a shard that is not what was packed', () => {
  const folder = temporaryFolder()
  after(folder.remove)
  let out = ''
  beforeEach(async () => {
    out = join(folder.root, 'out')
    rmSync(out, { recursive: true, force: true })
    for await (const _ of packDataset(synthetic({ split: 'val', count: 12 }), out, { shardBytes: 30_000 }));
  })
  const tar = () => join(out, 'val-000000.tar')
  const index = () => `${tar()}.index`

  const lines = () => readFileSync(index(), 'latin1').split('\n')
  /** The index with other lines, its own checksum right again. */
  function rewrite(change: (lines: string[]) => string[]): void {
    const body = `${change(lines().slice(0, -2)).join('\n')}\n`
    writeFileSync(index(), `${body}crc32c ${crc32c(Buffer.from(body, 'latin1')).toString(16).padStart(8, '0')}\n`, 'latin1')
  }
  /** Field `at` of the first sample's line. */
  const sampleField = (at: number, value: string) => (all: string[]) =>
    all.map((line, i) =>
      i === 2
        ? line
            .split(' ')
            .map((field, j) => (j === at ? value : field))
            .join(' ')
        : line,
    )

  const lies: [name: string, write: () => void, reason: RegExp][] = [
    ['a changed byte', () => writeFileSync(index(), lines().join('\n').replace('000000001.npy', '000000007.npy')), /its checksum is/],
    ['an end that is missing', () => writeFileSync(index(), lines().slice(0, 4).join('\n')), /cut short/],
    ['no content', () => writeFileSync(index(), ''), /line 1: the file is cut short/],
    ['another format', () => writeFileSync(index(), 'PK\x03\x04\n'), /it is no shard index/],
    ['another version', () => rewrite((all) => ['sknet-shard-index 2', ...all.slice(1)]), /another version; upgrade sknet/],
    ['an offset beyond the end', () => rewrite(sampleField(0, '51200000')), /beyond the end of the tar file/],
    ['an offset that is none', () => rewrite(sampleField(0, '513')), /not where a tar file can hold content/],
    ['a negative offset', () => rewrite(sampleField(0, '-512')), /an offset is no number/],
    ['an offset of 2^64', () => rewrite(sampleField(0, '18446744073709551616')), /an offset is no number/],
    ['a size beyond the end', () => rewrite(sampleField(1, '2147483647')), /beyond the end of the tar file/],
    ['a size beyond 2 GiB', () => rewrite(sampleField(1, '2147483648')), /a size is no number/],
    ['samples over one another', () => rewrite(sampleField(1, '5000')), /line 4: a sample lies over the one before it/],
    ['a label below nothing', () => rewrite(sampleField(3, '-1')), /a label is no number/],
    ['a name with ..', () => rewrite(sampleField(4, '../../etc/passwd.npy')), /no plain path/],
    ['an absolute name', () => rewrite(sampleField(4, '/etc/passwd.npy')), /an absolute path/],
    ['a name with a backslash', () => rewrite(sampleField(4, '..\\a.npy')), /a backslash/],
    ['a name with terminal codes', () => rewrite(sampleField(4, '\x1b[2J.npy')), /a control character/],
    ['a name that is no picture', () => rewrite(sampleField(4, 'a.cls')), /none of a picture/],
    [
      'a count of 10^15 samples',
      () => rewrite((all) => all.map((l, i) => (i === 1 ? l.replace(/samples \d+/, 'samples 999999999999999') : l))),
      /number of samples/,
    ],
    [
      'a count that is too low',
      () => rewrite((all) => all.map((l, i) => (i === 1 ? l.replace(/samples \d+/, 'samples 1') : l))),
      /expected 'crc32c '/,
    ],
    [
      'another tar size',
      () => rewrite((all) => all.map((l, i) => (i === 1 ? l.replace(/tar \d+/, 'tar 99999999') : l))),
      /for a tar file of 99999999 bytes/,
    ],
  ]
  for (const [name, write, reason] of lies) {
    it(`${name}: refused with path and reason`, async () => {
      write()
      const error = await errorOf(() => packed(out, { split: 'val' }))
      expect(error).to.include({ code: 'ERR_SKNET_DATA', path: index(), exitCode: 3 })
      expect(error.message).to.match(reason).and.include(index())
    })
  }

  it('a wrong checksum of a sample: that sample is bad, with shard, name and reason', async () => {
    rewrite(sampleField(2, '00000000'))
    const dataset = await packed(out, { split: 'val' })
    const batches = await collect(loader(dataset, { batchSize: 4, shuffle: false, augment: 'none', dropLast: false }))
    const bad = batches.flatMap((b) => b.bad)
    expect(bad.map(({ index: at, path }) => [at, path])).to.deep.equal([[0, `${tar()}: 000000000.npy`]])
    expect(bad[0]!.reason).to.match(/the bytes are not those that were packed: their checksum is [0-9a-f]{8}, the index has 00000000/)
    expect(batches.flatMap((b) => Array.from(b.indices)).slice(1)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
  })

  it('a flipped bit in the shard: found by verifying, and a bad sample in reading', async () => {
    const bytes = readFileSync(tar())
    bytes[700]! ^= 4
    writeFileSync(tar(), bytes)
    const found = []
    for await (const file of verifyPacked(out)) found.push(file.fault)
    expect(found.slice(1).every((fault) => fault === null)).to.equal(true)
    expect(found[0]).to.match(/val-000000\.tar: 000000000\.npy: has another checksum/)
  })

  it('a shard of another length, or one that is missing: refused', async () => {
    const bytes = readFileSync(tar())
    writeFileSync(tar(), bytes.subarray(0, bytes.length - 512))
    expect(await errorOf(() => packed(out, { split: 'val' }))).to.include({ code: 'ERR_SKNET_DATA', path: tar() })
    rmSync(tar())
    expect((await errorOf(() => packed(out, { split: 'val' }))).message).to.include(`${tar()}: found nothing`)
  })

  it('an index that is gone: read by the archive itself, with a warning', async () => {
    rmSync(index())
    const dataset = await packed(out, { split: 'val' })
    expect(dataset.size).to.equal(12)
    expect(dataset.warnings).to.deep.equal([`${tar()}: its index is not there; the shard is read without checksums`])
  })

  const manifests: [name: string, change: (manifest: Record<string, unknown>) => unknown][] = [
    ['no object', () => []],
    ['another format', (m) => ({ ...m, format: 'x' })],
    ['names that are too few', (m) => ({ ...m, classNames: [] })],
    ['a shard elsewhere', (m) => ({ ...m, shards: [{ name: '../x.tar', bytes: 1, samples: 1 }] })],
    ['another number of images', (m) => ({ ...m, images: 5 })],
    ['a size beyond reason', (m) => ({ ...m, imageSize: { height: 1e9, width: 1 } })],
    ['means that are none', (m) => ({ ...m, defaults: { ...(m.defaults as object), mean: [0, 'x', 0] } })],
  ]
  for (const [name, change] of manifests) {
    it(`a pack.json with ${name}: refused`, async () => {
      const path = join(out, 'pack.json')
      writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>)))
      expect(await errorOf(() => packed(out, { split: 'val' }))).to.include({ code: 'ERR_SKNET_DATA', path })
    })
  }
})

describe('the order of packed samples', () => {
  const folder = temporaryFolder()
  after(folder.remove)
  const digest = ({ images, labels, indices }: LoaderBatch) =>
    [images, labels, indices].map((v) => hash(Buffer.from(v.buffer, v.byteOffset, v.byteLength))).join()

  it('is shuffled by (seed, epoch), the same for 1, 2, 4 and 8 threads, 1, 2 and 4 ranks, and after a resume', async () => {
    const out = join(folder.root, 'order')
    for await (const _ of packDataset(synthetic({ split: 'train', count: 200 }), out, { shardBytes: 100_000 }));
    const dataset = await packed(out, { split: 'train' })
    const settings = { batchSize: 16, shardSize: 4, seed: 3, epoch: 1 }
    const whole = await collect(loader(dataset, { ...settings, threads: 1 }))
    const indices = whole.flatMap((b) => Array.from(b.indices))
    expect(new Set(indices).size).to.equal(192)
    expect(indices).to.not.deep.equal([...indices].sort((a, b) => a - b))
    for (const threads of [2, 4, 8])
      expect((await collect(loader(dataset, { ...settings, threads }))).map(digest)).to.deep.equal(whole.map(digest))
    expect((await collect(loader(dataset, { ...settings, skipBatches: 5 }))).map(digest)).to.deep.equal(whole.slice(5).map(digest))
    for (const world of [2, 4]) {
      const ranks = await Promise.all(Array.from({ length: world }, (_, rank) => collect(loader(dataset, { ...settings, rank, world }))))
      const joined = whole.map((_, b) => ranks.flatMap((batches) => Array.from(batches[b]!.indices)))
      expect(joined.flat()).to.deep.equal(indices)
    }
    const other = await collect(loader(dataset, { ...settings, epoch: 2 }))
    expect(other.flatMap((b) => Array.from(b.indices))).to.not.deep.equal(indices)
  })
})

/** CRC-32C bit by bit: the reference for the index's checksums. */
function crc32c(bytes: Uint8Array): number {
  let crc = ~0
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  }
  return ~crc >>> 0
}
