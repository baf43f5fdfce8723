/** Parquet files as model hubs publish them: what is found, in which order it is read, and what is refused. */
import { createHash } from 'node:crypto'
import { copyFileSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import { parquetWriteFile } from 'hyparquet-writer'
import type { ColumnSource, ParquetWriteOptions } from 'hyparquet-writer'
import type { Dataset } from '../../lib/data/dataset.js'
import { detectDataset } from '../../lib/data/detect.js'
import { loader } from '../../lib/data/loader.js'
import type { LoaderBatch, LoaderSettings } from '../../lib/data/loader.js'
import { parquetFolder } from '../../lib/data/parquet.js'
import { collect, errorOf, temporaryFolder } from './helpers.js'
import { rgbPng } from './make-png.js'

const grey = (level: number) => rgbPng(2, 2, new Uint8Array(12).fill(level))
const digest = ({ images, labels, indices }: LoaderBatch) =>
  [images, labels, indices].map((v) => createHash('sha256').update(v).digest('hex')).join()

type Row = { image: { bytes: Uint8Array | null; path: string | null } | null; label: bigint | null }

const row = (level: number, label = level): Row => ({ image: { bytes: grey(level), path: `${level}.png` }, label: BigInt(label) })
const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => row(from + i))

/** With the schema of the datasets library: a struct of bytes and path, and an int64. */
function write(filename: string, content: Row[], options: Partial<ParquetWriteOptions> = {}, names?: string[]): void {
  const optional = { repetition_type: 'OPTIONAL' } as const
  parquetWriteFile({
    filename,
    rowGroupSize: 10,
    schema: [
      { name: 'schema', num_children: 2 },
      { name: 'image', num_children: 2, ...optional },
      { name: 'bytes', type: 'BYTE_ARRAY', ...optional },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', ...optional },
      { name: 'label', type: 'INT64', ...optional },
    ],
    columnData: [
      { name: 'image', data: content.map(({ image }) => image) },
      { name: 'label', data: content.map(({ label }) => label) },
    ],
    kvMetadata:
      names === undefined
        ? []
        : [{ key: 'huggingface', value: JSON.stringify({ info: { features: { label: { names, _type: 'ClassLabel' } } } }) }],
    ...options,
  })
}

async function levels(dataset: Dataset): Promise<[label: number, level: number][]> {
  const { mean, std } = dataset.defaults
  const batches = await collect(loader(dataset, { batchSize: 7, shuffle: false, dropLast: false, augment: 'none', size: 2, resize: 0 }))
  expect(batches.flatMap((b) => b.bad)).to.deep.equal([])
  return batches.flatMap((b) =>
    Array.from(b.labels, (label, i) => [label, Math.abs(Math.round((b.images[i * 12]! * std[0] + mean[0]) * 255))] as [number, number]),
  )
}

describe('parquet files', () => {
  const folder = temporaryFolder()
  after(folder.remove)

  it('as published: splits by name, classes by the metadata, several files and row groups in order', async () => {
    const root = folder.files('hub/data', {})
    const names = Array.from({ length: 40 }, (_, i) => `class ${i}`)
    write(join(root, 'train-00000-of-00002.parquet'), rows(0, 25), {}, names)
    write(join(root, 'train-00001-of-00002.parquet'), rows(25, 37), {}, names)
    write(join(root, 'validation-00000-of-00001.parquet'), rows(5, 8), {}, names)
    const { kind, train, val } = await detectDataset(join(folder.root, 'hub'))
    expect([kind, train!.size, val!.size, train!.classes, train!.classNames[3]]).to.deep.equal(['parquet', 37, 3, 40, 'class 3'])
    expect(await levels(train!)).to.deep.equal(Array.from({ length: 37 }, (_, i) => [i, i]))
    expect(await levels(val!)).to.deep.equal([5, 6, 7].map((i) => [i, i]))
  })

  const codecs: [name: string, options: Partial<ParquetWriteOptions>][] = [
    ['snappy', { codec: 'SNAPPY' }],
    ['gzip', { codec: 'GZIP', compressors: { GZIP: (input: Uint8Array) => new Uint8Array(gzipSync(input)) } }],
    ['no compression', { codec: 'UNCOMPRESSED' }],
    ['pages of a kilobyte', { pageSize: 1000 }],
  ]
  codecs.forEach(([name, options], i) => {
    it(`with ${name}`, async () => {
      const path = join(folder.files(`codec-${i}`, {}), 'a.parquet')
      write(path, rows(0, 23), options)
      expect(await levels(await parquetFolder(path, { split: 'val' }))).to.deep.equal(Array.from({ length: 23 }, (_, k) => [k, k]))
    })
  })

  it('with the bytes as a column of their own, and names that are asked for', async () => {
    const path = join(folder.files('plain', {}), 'a.parquet')
    const columns = (image: string, label: string): ColumnSource[] => [
      { name: image, data: [grey(1), grey(2)], type: 'BYTE_ARRAY' },
      { name: label, data: [1, 0], type: 'INT32' },
    ]
    parquetWriteFile({ filename: path, columnData: columns('img', 'fine_label') })
    expect(await levels(await parquetFolder(path, { split: 'val' }))).to.deep.equal([
      [1, 1],
      [0, 2],
    ])
    parquetWriteFile({ filename: path, columnData: columns('picture', 'kind') })
    expect((await parquetFolder(path, { split: 'val', imageColumn: 'picture', labelColumn: 'kind' })).size).to.equal(2)
    expect((await errorOf(() => parquetFolder(path, { split: 'val' }))).message).to.match(
      /found columns picture, kind; expected a column of pictures/,
    )
    expect((await errorOf(() => parquetFolder(path, { split: 'val', imageColumn: 'picture' }))).message).to.match(
      /a column of class indices/,
    )
  })

  it('the same batches for any number of threads and ranks, and after a resume; another order each epoch', async () => {
    const path = join(folder.files('order', {}), 'train.parquet')
    write(path, rows(0, 100))
    const dataset = await parquetFolder(path, { split: 'train' })
    const settings: LoaderSettings = { batchSize: 8, shardSize: 4, size: 2, seed: 7 }
    const whole = await collect(loader(dataset, { ...settings, threads: 1 }))
    const indices = whole.flatMap((b) => Array.from(b.indices))
    expect(new Set(indices).size).to.equal(96)
    expect(indices).to.not.deep.equal([...indices].sort((a, b) => a - b))
    for (const threads of [2, 4, 8])
      expect((await collect(loader(dataset, { ...settings, threads }))).map(digest)).to.deep.equal(whole.map(digest))
    expect((await collect(loader(dataset, { ...settings, skipBatches: 5 }))).map(digest)).to.deep.equal(whole.slice(5).map(digest))
    const ranks = await Promise.all([0, 1].map((rank) => collect(loader(dataset, { ...settings, world: 2, rank }))))
    expect(whole.map((_, b) => ranks.flatMap((r) => Array.from(r[b]!.indices)))).to.deep.equal(whole.map((b) => Array.from(b.indices)))
    const other = await collect(loader(dataset, { ...settings, epoch: 1 }))
    expect(other.flatMap((b) => Array.from(b.indices))).to.not.deep.equal(indices)
  })

  it('report rows without a picture, and what does not decode, by file, row and name', async () => {
    const path = join(folder.files('bad', {}), 'a.parquet')
    const text = new TextEncoder().encode('<html>')
    write(path, [
      row(0),
      { image: null, label: 1n },
      { image: { bytes: null, path: 'x' }, label: 1n },
      { image: { bytes: text, path: 'y.jpg' }, label: 1n },
      row(1),
    ])
    const [batch] = await collect(loader(await parquetFolder(path, { split: 'val' }), { batchSize: 5, size: 2, onBadSample: 'skip' }))
    expect(Array.from(batch!.labels)).to.deep.equal([0, -1, -1, -1, 1])
    expect(batch!.bad).to.deep.equal([
      { index: 1, path: `${path}: row 1`, reason: 'the row holds no picture' },
      { index: 2, path: `${path}: row 2 (x)`, reason: 'the row holds no picture' },
      { index: 3, path: `${path}: row 3 (y.jpg)`, reason: 'found HTML or XML text, expected a JPEG or PNG image' },
    ])
  })

  it('damaged within a row group, or changed meanwhile: its rows are bad, the others are not', async () => {
    const path = join(folder.files('damage', {}), 'a.parquet')
    write(path, rows(0, 30), { codec: 'SNAPPY' })
    const bytes = readFileSync(path)
    bytes.fill(0xff, 60, 200)
    writeFileSync(path, bytes)
    const dataset = await parquetFolder(path, { split: 'val' })
    const read = async () => (await collect(loader(dataset, { batchSize: 30, size: 2, onBadSample: 'skip' })))[0]!
    const first = await read()
    expect(first.bad.map(({ index }) => index)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(first.bad[0]!.reason).to.match(/row group 0 cannot be read: ./)
    utimesSync(path, 1, 1)
    const second = await read()
    expect(second.bad).to.have.length(30)
    expect(second.bad[0]!.reason).to.match(/row group 0 cannot be read: the file was changed after the data set was opened/)
  })

  it('are refused where they are none, cut short, without labels or without rows', async () => {
    const at = (name: string) => join(folder.root, 'refused', name)
    folder.files('refused', { 'text.parquet': 'no table at all', 'empty.parquet': '' })
    write(at('whole.parquet'), rows(0, 20))
    copyFileSync(at('whole.parquet'), at('cut.parquet'))
    truncateSync(at('cut.parquet'), readFileSync(at('whole.parquet')).length - 100)
    write(at('unlabelled.parquet'), [{ ...row(1), label: -1n }])
    write(at('null.parquet'), [{ ...row(1), label: null }])
    write(at('none.parquet'), [])
    for (const [name, reason] of [
      ['text', /no parquet file/],
      ['empty', /no parquet file/],
      ['cut', /no parquet file/],
      ['unlabelled', /label -1 in row 0; expected a class index of at least 0. Splits published without/],
      ['null', /label (null|undefined) in row 0/],
      ['none', /no rows|no parquet file/],
      ['missing', /no \.parquet files/],
    ] as const) {
      const error = await errorOf(() => parquetFolder(at(`${name}.parquet`), { split: 'val' }))
      expect([error.code, error.exitCode], name).to.deep.equal(['ERR_SKNET_DATA', 3])
      expect(error.message).to.match(reason).and.include(at(''))
    }
  })

  it('do not keep a process alive, nor their thread when a loader is left early', async () => {
    const path = join(folder.files('early', {}), 'a.parquet')
    write(path, rows(0, 60))
    const dataset = await parquetFolder(path, { split: 'train' })
    for (let i = 0; i < 5; i++) {
      for await (const batch of loader(dataset, { batchSize: 4, size: 2 })) {
        expect(batch.bad).to.deep.equal([])
        break
      }
    }
  })
})
