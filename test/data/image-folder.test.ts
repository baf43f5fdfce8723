/** ImageFolder and detection: what is found, in which order, and what is refused or left out. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect } from 'chai'
import { detectDataset } from '../../lib/data/detect.js'
import { imageFolder } from '../../lib/data/image-folder.js'
import { loader } from '../../lib/data/loader.js'
import { cifarRecords, collect, errorOf, temporaryFolder } from './helpers.js'
import { rgbPng } from './make-png.js'

const grey = (level: number) => rgbPng(2, 2, new Uint8Array(12).fill(level))

describe('image folder', () => {
  const folder = temporaryFolder()
  after(folder.remove)

  it('sorts classes and files, reads all depths and extensions, ignores the rest', async () => {
    const root = folder.files('sorted', {
      'train/b/2.png': grey(30),
      'train/b/10.JPEG': grey(20),
      'train/b/deep/er/x.jpg': grey(40),
      'train/a/z.jpeg': grey(10),
      'train/a/notes.txt': 'text',
      'train/a/.hidden.png': 'hidden',
      'train/.cache/x.png': 'hidden',
      'train/readme.md': 'text',
      'val/b/1.png': grey(50),
    })
    const { train, val } = imageFolder(root)
    expect([train.classes, train.size, train.kind, train.path]).to.deep.equal([2, 4, 'image-folder', join(root, 'train')])
    expect(train.classNames).to.deep.equal(['a', 'b'])
    expect(Array.from(train.labels())).to.deep.equal([0, 1, 1, 1])
    const batches = await collect(loader(train, { batchSize: 8, shuffle: false, dropLast: false, augment: 'none', size: 2 }))
    const { mean, std } = train.defaults
    const levels = Array.from({ length: 4 }, (_, i) => Math.round((batches[0]!.images[i * 12]! * std[0] + mean[0]) * 255))
    expect(levels).to.deep.equal([10, 20, 30, 40])
    // val/ has class b only; its label is the one of train/.
    expect([val!.classes, ...val!.labels()]).to.deep.equal([2, 1])
  })

  it('takes one folder of classes for whichever split is asked for', () => {
    const root = folder.files('single', { 'cat/1.png': grey(1), 'dog/1.png': grey(2) })
    expect(imageFolder(root).val).to.equal(undefined)
    expect(imageFolder(root, { split: 'val' })).to.include({ split: 'val', size: 2, path: root })
    expect(imageFolder(root, { split: 'test' }).split).to.equal('val')
  })

  it('counts classes by a list of names where one is given', async () => {
    const root = folder.files('listed', { 'dog/1.png': grey(1), 'eel/2.png': grey(2) })
    const dataset = imageFolder(root, { split: 'val', classNames: ['ant', 'dog', 'eel', 'fox'] })
    expect([dataset.classes, ...dataset.labels()]).to.deep.equal([4, 1, 2])
    const error = await errorOf(() => imageFolder(root, { split: 'val', classNames: ['ant', 'dog'] }))
    expect(error).to.include({ code: 'ERR_SKNET_DATA', path: join(root, 'eel'), got: 'a class that the list does not have' })
  })

  it('says why there are no class folders where links were left out', async () => {
    const outside = folder.files('elsewhere', { '1.png': grey(1) })
    const root = folder.files('only-links', {})
    symlinkSync(outside, join(root, 'cat'))
    expect((await errorOf(() => imageFolder(root))).hint).to.match(/cat: left out, a link that leads out of/)
  })

  it('takes a folder named train or val that holds images itself for a class', async () => {
    const root = folder.files('vehicles', { 'bus/1.png': grey(1), 'train/1.png': grey(2), 'train/2.png': grey(2) })
    expect(imageFolder(root, { split: 'val' })).to.include({ path: root, size: 3, classes: 2 })
    expect(imageFolder(root).val).to.equal(undefined)
    expect(Object.keys(await detectDataset(root))).to.deep.equal(['kind', 'train', 'val'])
    const both = folder.files('vehicles-split', { 'train/train/1.png': grey(1), 'train/bus/1.png': grey(1), 'val/train/1.png': grey(2) })
    expect(Array.from(imageFolder(both).val!.labels())).to.deep.equal([1])
  })

  const refused: [name: string, content: Record<string, string>, where: string, message: RegExp][] = [
    ['nothing in it', {}, '', /no class folders/],
    ['files only', { 'a.png': '' }, '', /no class folders/],
    ['a class folder without images', { 'a/1.png': '', 'b/notes.txt': '' }, 'b', /no images/],
    ['a class in val/ that train/ lacks', { 'train/a/1.png': '', 'val/a/1.png': '', 'val/c/1.png': '' }, 'val/c', /train\/ does not have/],
    ['val/ only, for training', { 'val/a/1.png': '' }, '', /val\/ only/],
    ['images in train/ without classes', { 'train/1.png': '' }, 'train', /no class folders/],
    ['images in train/ and val/ without classes', { 'train/1.png': '', 'val/2.png': '' }, 'train', /no class folders/],
    ['an empty train/', { 'train/x.txt': '', 'val/a/1.png': '' }, 'train', /no class folders/],
  ]
  for (const [name, content, where, message] of refused) {
    it(`refuses ${name}, naming the path`, async () => {
      const root = folder.files(`refused/${name.replaceAll('/', '')}`, content)
      const error = await errorOf(() => imageFolder(root))
      expect(error).to.include({ code: 'ERR_SKNET_DATA', path: join(root, where), exitCode: 3 })
      expect(error.message).to.match(message)
      expect(error.expected).to.be.a('string')
    })
  }

  it('refuses an empty class folder and a path that is missing or a file', async () => {
    const root = folder.files('empty-class', { 'a/1.png': '' })
    mkdirSync(join(root, 'b'))
    expect((await errorOf(() => imageFolder(root))).message).to.match(/an empty folder/)
    expect((await errorOf(() => imageFolder(join(root, 'nowhere')))).got).to.equal('nothing')
    expect((await errorOf(() => imageFolder(join(root, 'a/1.png')))).got).to.equal('a file')
  })

  it('leaves out links that lead outside or nowhere, with a warning, and FIFOs', () => {
    const outside = folder.files('outside', { 'secret.png': grey(1), 'more/x.png': grey(1) })
    const root = folder.files('links', { 'a/1.png': grey(1), 'a/2.png': grey(2) })
    symlinkSync(join(outside, 'secret.png'), join(root, 'a/3.png'))
    symlinkSync(outside, join(root, 'b'))
    symlinkSync(join(root, 'gone'), join(root, 'a/4.png'))
    symlinkSync(join(root, 'a/1.png'), join(root, 'a/5.png'))
    // A loop, inside the root.
    symlinkSync(join(root, 'a'), join(root, 'a/loop'))
    execFileSync('mkfifo', [join(root, 'a/6.png')])
    const dataset = imageFolder(root, { split: 'train' })
    expect([dataset.size, dataset.classes]).to.deep.equal([3, 1])
    expect(dataset.warnings.map((w) => w.replace(root, '')).sort()).to.deep.equal([
      '/a/3.png: left out, a link that leads out of ' + root,
      '/a/4.png: left out, a link that leads nowhere',
      '/a/6.png: left out, neither a file nor a folder',
      '/b: left out, a link that leads out of ' + root,
    ])
    expect(imageFolder(root, { split: 'train', followSymlinks: true })).to.include({ size: 6, classes: 2 })
  })
})

describe('detectDataset', () => {
  const folder = temporaryFolder()
  after(folder.remove)

  it('tells the kinds apart', async () => {
    const c10 = cifarRecords([[1], [2]], 1)
    const c100 = cifarRecords([[1, 2]], 1)
    const cases: [kind: string, splits: string, files: Record<string, Uint8Array>][] = [
      ['cifar10', 'train,val', { 'data_batch_3.bin': c10, 'test_batch.bin': c10 }],
      ['cifar10', 'val', { 'test_batch.bin': c10 }],
      ['cifar100', 'train,val', { 'train.bin': c100, 'test.bin': c100 }],
      ['cifar10', 'train', { 'train.bin': c10 }],
      ['image-folder', 'train,val', { 'train/a/1.png': grey(1), 'val/a/1.png': grey(1) }],
      ['image-folder', 'val', { 'val/a/1.png': grey(1) }],
      ['image-folder', 'train,val', { 'a/1.png': grey(1), 'b/1.png': grey(1) }],
    ]
    for (const [i, [kind, splits, files]] of cases.entries()) {
      const { kind: found, ...datasets } = await detectDataset(folder.files(`kinds/${i}`, files))
      expect([found, Object.keys(datasets).join()], Object.keys(files).join()).to.deep.equal([kind, splits])
    }
  })

  it('opens only what is asked for', async () => {
    const root = folder.files('asked', { 'data_batch_1.bin': new Uint8Array(10), 'test_batch.bin': cifarRecords([[0]], 1) })
    expect(Object.keys(await detectDataset(root, {}, ['val']))).to.deep.equal(['kind', 'val'])
    expect((await errorOf(() => detectDataset(root))).path).to.equal(join(root, 'data_batch_1.bin'))
    const trainOnly = folder.files('train-only', { 'data_batch_1.bin': cifarRecords([[0]], 1) })
    expect((await errorOf(() => detectDataset(trainOnly, {}, ['val']))).got).to.equal('train data only')
  })

  it('says what is wrong with the rest', async () => {
    const root = folder.files('rest', { 'file.bin': '' })
    mkdirSync(join(root, 'empty'))
    for (const [name, got] of [
      ['missing', 'nothing'],
      ['empty', 'an empty folder'],
      ['file.bin', 'a file'],
    ] as const) {
      const error = await errorOf(() => detectDataset(join(root, name)))
      expect(error, name).to.include({ code: 'ERR_SKNET_DATA', got })
      expect(relative(root, error.path!)).to.equal(name)
    }
  })
})
