/** Tar shards made elsewhere: what is found in them, and what is refused with path and reason. */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Dataset } from '../../lib/data/dataset.js'
import { detectDataset } from '../../lib/data/detect.js'
import { loader } from '../../lib/data/loader.js'
import { packed } from '../../lib/data/packed.js'
import { collect, errorOf, temporaryFolder } from './helpers.js'
import { longName, makeTar, pax, sample } from './make-tar.js'
import type { TarItem } from './make-tar.js'
import { rgbPng } from './make-png.js'

const grey = (level: number) => rgbPng(2, 2, new Uint8Array(12).fill(level))

/** An .npy file of uint8. */
function npy(shape: number[], data: Uint8Array, changes: { descr?: string; order?: string } = {}): Buffer {
  const text = `{'descr': '${changes.descr ?? '|u1'}', 'fortran_order': ${changes.order ?? 'False'}, 'shape': (${shape.join(', ')}), }`
  const padded = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + '\n'
  return Buffer.concat([
    Buffer.from('\x93NUMPY\x01\0', 'latin1'),
    Buffer.from([padded.length & 255, padded.length >> 8]),
    Buffer.from(padded),
    data,
  ])
}

/** The grey level of every picture, by class; pictures are of one colour. */
async function levels(dataset: Dataset): Promise<[label: number, level: number][]> {
  const { mean, std } = dataset.defaults
  const batches = await collect(loader(dataset, { batchSize: 64, shuffle: false, dropLast: false, augment: 'none', size: 2, resize: 0 }))
  expect(batches.flatMap((b) => b.bad)).to.deep.equal([])
  return batches.flatMap((b) =>
    Array.from(b.labels, (label, i) => [label, Math.round((b.images[i * 12]! * std[0] + mean[0]) * 255)] as [number, number]),
  )
}

describe('tar shards made elsewhere', () => {
  const folder = temporaryFolder()
  after(folder.remove)
  let count = 0
  const write = (items: TarItem[], options?: { end?: number }) =>
    join(folder.files(`tar-${count}`, { 'a.tar': makeTar(items, options) }), ((count += 1), 'a.tar'))
  const open = (items: TarItem[], options?: { end?: number }) => packed(write(items, options), { split: 'val' })

  it('give the samples of neighbouring files with one key, whatever else is in them', async () => {
    const dataset = await open([
      { name: 'folder/', type: '5' },
      ...sample('folder/a', 'png', grey(10), 2),
      { name: 'folder/a.json', data: '{}' },
      { name: 'link', type: '2' },
      // Order within a sample is free, extensions are in any case, and the part after the first dot is the extension.
      { name: './b.seg.png', data: grey(99) },
      { name: './b.cls', data: ' 0\n' },
      { name: './b.PNG', data: grey(20) },
      { name: '__index__.txt', data: 'x' },
      ...sample('c', 'npy', npy([2, 2, 3], new Uint8Array(12).fill(30)), 1),
    ])
    expect(await levels(dataset)).to.deep.equal([
      [2, 10],
      [0, 20],
      [1, 30],
    ])
    expect([dataset.kind, dataset.classes, dataset.size]).to.deep.equal(['shards', 3, 3])
  })

  it('read long names and large sizes in all the forms there are', async () => {
    const long = `${'deep/'.repeat(40)}name`
    const base256 = (n: number) => Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, n >> 8, n & 255]).toString('latin1')
    const dataset = await open([
      longName(`${long}.png`),
      { name: 'cut', data: grey(1), magic: 'ustar  \0' },
      longName(`${long}.cls`),
      { name: 'cut', data: '1', magic: 'ustar  \0' },
      pax({ path: 'päx/n.png', mtime: '1.5' }),
      { name: 'n.png', data: grey(2) },
      pax({ path: 'päx/n.cls' }),
      { name: 'n.cls', data: '2' },
      pax({ comment: 'for all' }, 'g'),
      { name: 's.png', data: grey(3), size: base256(grey(3).length), prefix: 'with/prefix' },
      { name: 's.cls', data: '0', prefix: 'with/prefix' },
      pax({ size: String(grey(4).length) }),
      { name: 't.png', data: grey(4), size: '00000000000\0' },
      { name: 't.cls', data: '3' },
    ])
    expect(await levels(dataset)).to.deep.equal([
      [1, 1],
      [2, 2],
      [0, 3],
      [3, 4],
    ])
  })

  it('may end without empty blocks, or with one', async () => {
    for (const end of [0, 1]) expect((await open(sample('a', 'png', grey(1), 0), { end })).size).to.equal(1)
  })

  it('may have names that lead elsewhere: nothing is ever unpacked', async () => {
    const dataset = await open([...sample('../../etc/a', 'png', grey(1), 0), ...sample('/srv/b', 'png', grey(2), 1)])
    expect((await levels(dataset)).map(([label]) => label)).to.deep.equal([0, 1])
  })

  it('leave out what is no whole sample, and say so', async () => {
    const dataset = await open([
      ...sample('a', 'png', grey(1), 0),
      { name: 'b.png', data: grey(2) },
      { name: 'c.cls', data: '1' },
      { name: 'd.txt' },
    ])
    expect(dataset.size).to.equal(1)
    expect(dataset.warnings).to.have.length(1)
    expect(dataset.warnings[0]).to.match(/a\.tar: 1 sample has no class \(\.cls\), 2 samples have no picture; left out/)
  })

  const refused: [name: string, items: TarItem[], reason: RegExp][] = [
    ['a header whose checksum is wrong', [{ name: 'a.png', checksum: '000001\0 ' }], /at byte 0 is no tar header: its checksum is wrong/],
    ['text', [], /found no samples/],
    ['an entry beyond the end', [{ name: 'a.png', size: '00077777777\0' }], /at byte 0 an entry of 16777215 bytes goes beyond the end/],
    ['a size that is no number', [{ name: 'a.png', size: 'abcdefghijk\0' }], /size is no number/],
    ['a negative size', [{ name: 'a.png', size: '\xff'.repeat(12) }], /size is no number/],
    [
      'a record with no size after one that gives a size',
      [pax({ size: '3' }), { ...pax({ path: 'x' }), size: 'abcdefghijk\0' }],
      /size is no number/,
    ],
    ['a sparse file', [{ name: 'a.png', type: 'S' }], /sparse/],
    ['a sparse file by pax', [pax({ 'GNU.sparse.major': '1' }), { name: 'a.png' }], /sparse/],
    ['a piece of another volume', [{ name: 'a.png', type: 'M' }], /another volume/],
    ['a pax record that is malformed', [{ name: 'p', type: 'x', data: '99 path=x\n' }, { name: 'a.png' }], /a pax record is malformed/],
    ['a pax size below nothing', [pax({ size: '-1' }), { name: 'a.png' }], /a pax size is no number/],
    ['a name of a megabyte', [longName('x'.repeat(1 << 20)), { name: 'a.png' }], /too long/],
    ['a class that is a name', sample('a', 'png', grey(1), 'cat'), /a\.cls: it holds 'cat'; expected a class index/],
    ['a class below nothing', sample('a', 'png', grey(1), -1), /expected a class index/],
    ['a class with terminal codes', sample('a', 'png', grey(1), '\x1b[2J'), /it holds '\?\[2J'/],
    ['two pictures of one sample', [{ name: 'a.png', data: grey(1) }, ...sample('a', 'jpg', grey(2), 1)], /a second picture of one sample/],
    ['no sample at all', [{ name: 'readme.md' }], /1 sample has no picture; left out; expected files KEY\.jpg/],
  ]
  for (const [name, items, reason] of refused) {
    it(`refuse ${name}`, async () => {
      const path = write(items)
      const error = await errorOf(() => packed(path, { split: 'train' }))
      expect(error).to.include({ code: 'ERR_SKNET_DATA', path, exitCode: 3 })
      expect(error.message).to.match(reason)
      expect(error.message).to.include(path)
    })
  }

  it('refuse an archive cut anywhere, or find fewer samples; never more, never a crash', async () => {
    const whole = makeTar([...sample('a', 'png', grey(1), 0), ...sample('b', 'png', grey(2), 1)])
    const path = write([])
    for (let length = 0; length < whole.length; length += 37) {
      writeFileSync(path, whole.subarray(0, length))
      const found = await packed(path, { split: 'val' }).catch((error: unknown) => error as { code: string })
      if ('code' in found) expect(found.code).to.equal('ERR_SKNET_DATA')
      else expect(found.size, String(length)).to.be.at.most(2)
    }
  })

  it('report pictures that do not decode, arrays that are none, with shard and name', async () => {
    const pixels = new Uint8Array(12)
    const dataset = await open([
      ...sample('text', 'jpg', Buffer.from('<html>'), 0),
      ...sample('type', 'npy', npy([2, 2, 3], pixels, { descr: '<f4' }), 0),
      ...sample('order', 'npy', npy([2, 2, 3], pixels, { order: 'True' }), 0),
      ...sample('shape', 'npy', npy([2, 2, 4], pixels), 0),
      ...sample('short', 'npy', npy([2, 2, 3], pixels.subarray(1)), 0),
      ...sample('huge', 'npy', npy([65535, 65535, 3], pixels), 0),
      ...sample('good', 'npy', npy([2, 2, 3], pixels), 0),
    ])
    const [batch] = await collect(loader(dataset, { batchSize: 7, size: 2, onBadSample: 'skip' }))
    expect(Array.from(batch!.labels)).to.deep.equal([-1, -1, -1, -1, -1, -1, 0])
    const reasons = [/found HTML/, /another type/, /Fortran order/, /another shape/, /11 bytes of pixels for 2x2/, /65535x65535/]
    batch!.bad.forEach(({ path, reason }, i) => {
      expect(path).to.match(/a\.tar: (text\.jpg|\w+\.npy)$/)
      expect(reason).to.match(reasons[i]!)
    })
  })

  it('written to after they were opened, or gone: every sample of them is bad from then on', async () => {
    const path = write(Array.from({ length: 4 }, (_, i) => sample(`s${i}`, 'png', grey(i), 0)).flat())
    const dataset = await packed(path, { split: 'val' })
    const read = () => collect(loader(dataset, { batchSize: 4, size: 2, onBadSample: 'skip' }))
    expect((await read())[0]!.bad).to.deep.equal([])
    truncateSync(path, 1500)
    const [batch] = await read()
    expect(batch!.bad.map(({ reason }) => reason)).to.include('the shard became shorter: the picture is not all there')
    expect(batch!.bad).to.have.length(4)
  })
})

describe('splits of shards', () => {
  const folder = temporaryFolder()
  after(folder.remove)
  const tar = makeTar(sample('a', 'png', grey(1), 0))

  const layouts: [name: string, files: string[], train: string[] | null, val: string[] | null][] = [
    ['folders', ['train/1.tar', 'train/2.tar', 'val/1.tar'], ['train/1.tar', 'train/2.tar'], ['val/1.tar']],
    ['a validation folder', ['train/1.tar', 'validation/1.tar'], ['train/1.tar'], ['validation/1.tar']],
    ['names', ['x-train-0.tar', 'x-validation-0.tar', 'x-test-0.tar'], ['x-train-0.tar'], ['x-validation-0.tar']],
    ['a test split only', ['x-train-0.tar', 'x-test-0.tar'], ['x-train-0.tar'], ['x-test-0.tar']],
    ['names in data/', ['data/train-00000-of-00001.tar'], ['data/train-00000-of-00001.tar'], null],
    ['one set for both', ['0.tar', '1.tar'], ['0.tar', '1.tar'], ['0.tar', '1.tar']],
    [
      'words that only look like it',
      ['trainers-0.tar', 'evaluate-1.tar'],
      ['evaluate-1.tar', 'trainers-0.tar'],
      ['evaluate-1.tar', 'trainers-0.tar'],
    ],
  ]
  layouts.forEach(([name, files, train, val], i) => {
    it(`by ${name}`, async () => {
      const root = folder.files(`layout-${i}`, Object.fromEntries(files.map((file) => [file, tar])))
      const found = await detectDataset(root)
      expect(found.kind).to.equal('shards')
      expect([found.train?.size, found.val?.size]).to.deep.equal([train?.length, val?.length])
      const split = train === null ? 'train' : 'val'
      if (train === null || val === null)
        expect((await errorOf(() => packed(root, { split }))).expected).to.equal(`.tar files of the ${split} split`)
    })
  })

  it('and the archive a folder of images came from is no shard', async () => {
    const root = folder.files('download', { 'train/cat/1.png': grey(1), 'ILSVRC2012_img_train.tar': tar })
    expect((await detectDataset(root)).kind).to.equal('image-folder')
  })

  it('take class names from a file beside them', async () => {
    const root = folder.files('names', { 'train/1.tar': makeTar(sample('a', 'png', grey(1), 1)), 'classnames.txt': 'cat\ndog\nfox\n' })
    const { train } = await packed(root)
    expect([train.classes, train.classNames]).to.deep.equal([3, ['cat', 'dog', 'fox']])
    const short = folder.files('short-names', { 'train/1.tar': makeTar(sample('a', 'png', grey(1), 1)), 'classnames.txt': 'cat\n' })
    expect((await errorOf(() => packed(short))).message).to.match(/image 0 has the label 1; expected a label from 0 to 0/)
  })

  it('refuse what is not there', async () => {
    mkdirSync(join(folder.root, 'empty'))
    for (const path of [join(folder.root, 'empty'), join(folder.root, 'nowhere'), join(folder.root, 'nowhere.tar')]) {
      expect(await errorOf(() => packed(path))).to.include({ code: 'ERR_SKNET_DATA', path })
    }
    expect(await errorOf(() => packed('', {}))).to.include({ option: 'path' })
  })
})
