/** ImageNet as it is downloaded: the flat validation folder with each of its lists, readable names, and links in circles. */
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { expect } from 'chai'
import { imageFolder } from '../../lib/data/image-folder.js'
import { classId } from '../../lib/data/imagenet.js'
import { errorOf, temporaryFolder } from './helpers.js'
import { rgbPng } from './make-png.js'

const png = rgbPng(2, 2, new Uint8Array(12))
const synsets = ['n01440764', 'n01443537', 'n02012849']
const val = (i: number) => `ILSVRC2012_val_0000000${i}`

/** One element of a MATLAB 5 file, in the short form where it fits. */
function element(type: number, data: Uint8Array): Buffer {
  if (data.length > 0 && data.length <= 4) {
    const short = Buffer.alloc(8)
    short.writeUInt32LE(type | (data.length << 16))
    short.set(data, 4)
    return short
  }
  const tag = Buffer.alloc(8)
  tag.writeUInt32LE(type)
  tag.writeUInt32LE(data.length, 4)
  return Buffer.concat([tag, data, Buffer.alloc(type === 15 ? 0 : (8 - (data.length % 8)) % 8)])
}

const int32 = (...values: number[]) => Buffer.from(Int32Array.from(values).buffer)
const matrix = (kind: number, dimensions: number[], ...parts: Buffer[]) =>
  element(14, Buffer.concat([element(6, int32(kind, 0)), element(5, int32(...dimensions)), element(1, Buffer.alloc(0)), ...parts]))

/** The devkit's table: ids 1.. in another order than the sorted synsets. */
function metaMat(rows: [id: number, wnid: string][], compressed: boolean): Buffer {
  const names = ['ILSVRC2012_ID', 'WNID', 'words']
  const fields = Buffer.concat(names.map((name) => Buffer.from(name.padEnd(32, '\0'))))
  const values = rows.flatMap(([id, wnid]) => [
    matrix(6, [1, 1], element(2, Uint8Array.of(id))),
    matrix(4, [1, wnid.length], element(compressed ? 4 : 16, compressed ? Buffer.from(wnid, 'utf16le') : Buffer.from(wnid))),
    matrix(4, [1, 1], element(16, Buffer.from('w'))),
  ])
  const table = matrix(2, [rows.length, 1], element(5, int32(32)), element(1, fields), ...values)
  return Buffer.concat([Buffer.alloc(128, ' '), compressed ? element(15, deflateSync(table)) : table])
}

describe('ImageNet as it is downloaded', () => {
  const folder = temporaryFolder()
  after(folder.remove)
  const images = {
    ...Object.fromEntries(synsets.map((name) => [`train/${name}/${name}_1.JPEG`, png])),
    ...Object.fromEntries([1, 2, 3, 4].map((i) => [`val/${val(i)}.JPEG`, png])),
  }
  const expected = [2, 0, 1, 0]
  const meta: [number, string][] = [
    [1, synsets[1]!],
    [2, synsets[2]!],
    [3, synsets[0]!],
  ]
  const ids = '2\n3\n1\n3\n'

  const lists: [name: string, files: Record<string, string | Uint8Array>][] = [
    [
      'LOC_val_solution.csv',
      {
        'LOC_val_solution.csv': [
          'ImageId,PredictionString',
          ...[4, 3, 2, 1].map((i) => `${val(i)},${synsets[expected[i - 1]!]!} 1 2 3 4 `),
        ].join('\n'),
      },
    ],
    ['val.txt with indices', { 'val.txt': [1, 2, 3, 4].map((i) => `${val(i)}.JPEG ${expected[i - 1]!}`).join('\n') }],
    ['val.txt with synsets', { 'val/val.txt': [2, 1, 3, 4].map((i) => `val/${val(i)}.JPEG\t${synsets[expected[i - 1]!]!}`).join('\n') }],
    ['a synset a line', { 'imagenet_2012_validation_synset_labels.txt': expected.map((label) => synsets[label]!).join('\n') }],
    [
      'the devkit',
      {
        'ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt': ids,
        'ILSVRC2012_devkit_t12/data/meta.mat': metaMat(meta, true),
      },
    ],
    ['the devkit, not compressed', { 'ILSVRC2012_validation_ground_truth.txt': ids, 'meta.mat': metaMat(meta, false) }],
  ]
  lists.forEach(([name, files], i) => {
    it(`labels a flat validation folder by ${name}`, () => {
      const root = folder.files(`list-${i}`, { ...images, ...files })
      const { train, val: judged } = imageFolder(root)
      expect(Array.from(judged!.labels())).to.deep.equal(expected)
      expect([judged!.classes, judged!.size, judged!.classNames]).to.deep.equal([3, 4, train.classNames])
    })
  })

  const wrong: [name: string, files: Record<string, string>, reason: RegExp][] = [
    ['no list', {}, /found/],
    ['a list that is too short', { 'imagenet_2012_validation_synset_labels.txt': synsets[0]! }, /found 1 lines; expected 4/],
    ['an image that is not in the list', { 'val.txt': `${val(1)}.JPEG 0` }, /no line for ILSVRC2012_val_00000002\.JPEG/],
    ['an index beyond the classes', { 'val.txt': `${val(1)}.JPEG 3` }, /'3' in line 1/],
    ['a synset that is no class', { 'val.txt': `${val(1)}.JPEG n99999999` }, /'n99999999' in line 1/],
    ['ids without their table', { 'ILSVRC2012_validation_ground_truth.txt': ids }, /meta\.mat: cannot be read/],
    ['a table that is none', { 'ILSVRC2012_validation_ground_truth.txt': ids, 'meta.mat': 'x'.repeat(500) }, /no table of synsets/],
  ]
  wrong.forEach(([name, files, reason], i) => {
    it(`refuses ${name}`, async () => {
      const root = folder.files(`wrong-${i}`, { ...images, ...files })
      const error = await errorOf(() => imageFolder(root))
      expect([error.code, error.exitCode]).to.deep.equal(['ERR_SKNET_DATA', 3])
      expect(error.message).to.match(reason)
    })
  })

  const words: [file: string, content: string][] = [
    ['LOC_synset_mapping.txt', 'n01440764 tench, Tinca tinca\nn02012849 crane\n'],
    ['words.txt', 'n00001740\tentity\nn01440764\ttench, Tinca tinca\nn02012849\tcrane\n'],
    ['imagenet_class_index.json', '{"0": ["n01440764", "tench, Tinca tinca"], "134": ["n02012849", "crane"]}'],
  ]
  words.forEach(([file, content], i) => {
    it(`names synsets by ${file}, and still knows them by themselves`, () => {
      const root = folder.files(`words-${i}`, {
        ...images,
        'val.txt': [1, 2, 3, 4].map((k) => `${val(k)} ${expected[k - 1]!}`).join('\n'),
        [file]: content,
      })
      const { train, val: judged } = imageFolder(root)
      expect(train.classNames).to.deep.equal(['n01440764 tench, Tinca tinca', 'n01443537', 'n02012849 crane'])
      expect(Array.from(judged!.labels())).to.deep.equal(expected)
      // A model's names from elsewhere, with or without words.
      const other = imageFolder(root, { split: 'train', classNames: ['n02012849', 'n01440764 a fish', 'n01443537'] })
      expect(Array.from(other.labels())).to.deep.equal([1, 2, 0])
      expect([classId('n02012849 crane'), classId('great crane')]).to.deep.equal(['n02012849', 'great crane'])
    })
  })

  it('leaves out links that go round in circles, with a warning', () => {
    const root = folder.files('circles', { 'train/cat/1.png': png })
    symlinkSync('loop.png', join(root, 'train/cat/loop.png'))
    symlinkSync('..', join(root, 'train/cat/up'))
    const { train } = imageFolder(root, {})
    expect(train.size).to.equal(1)
    expect(train.warnings.some((warning) => warning.includes('loop.png: left out, a link that leads nowhere'))).to.equal(true)
  })
})
