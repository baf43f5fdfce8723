/** Decoding only what a crop needs: the same floats as from the whole picture, and how reduced decoding compares with it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { fromArrays, fromFiles } from '../../lib/data/arrays.js'
import { decodeImage } from '../../lib/data/decode-image.js'
import { loader } from '../../lib/data/loader.js'
import { evalTransform, trainTransform } from '../../lib/data/presets.js'
import type { TransformOptions } from '../../lib/native.js'
import { collect, temporaryFolder } from './helpers.js'

const shared = path.resolve(import.meta.dirname, '../../../shared/data')
const photoFolder = path.join(shared, 'photos/val/dog')
const oddFolder = path.join(shared, 'quirks')

/** Of each kind of file that decodes in its own way: subsampled colour, progressive, grey, CMYK, sizes that fill no block. */
const odd = [
  'odd_size_35x27_420.jpg',
  'progressive_3.jpg',
  'progressive_444.jpg',
  'progressive_cat.jpg',
  'hopper_gray.jpg',
  'cmyk_made.jpg',
  'ijg_testimgint.jpg',
  'exif_orientation_6.jpg',
  'basn2c16.png',
]

async function oneImage(file: string, transform: TransformOptions, epoch: number): Promise<Float32Array> {
  const dataset = fromFiles([file], { split: 'train' })
  const [batch] = await collect(loader(dataset, { batchSize: 1, epoch, threads: 1, transform }))
  expect(batch!.bad).to.deep.equal([])
  return batch!.images
}

async function wholeImage(file: string, transform: TransformOptions, epoch: number): Promise<Float32Array> {
  const { data, width, height } = await decodeImage(file)
  const dataset = fromArrays({ images: data, labels: [0], width, height })
  const [batch] = await collect(loader(dataset, { batchSize: 1, epoch, threads: 1, transform }))
  return batch!.images
}

describe('decode: parts of a picture', function () {
  if (!existsSync(photoFolder) || !existsSync(oddFolder)) {
    it(`skipped: ${shared} is not there`, function () {
      this.skip()
    })
    return
  }
  this.timeout(60_000)
  const folder = temporaryFolder()
  after(folder.remove)
  const photos = readdirSync(photoFolder)
    .sort()
    .slice(0, 6)
    .map((name) => path.join(photoFolder, name))
  const files = [...photos, ...odd.map((name) => path.join(oddFolder, name))]
  const dataset = fromFiles(files)
  const crop = { ...trainTransform(dataset, { augment: 'paper', size: 48 }), area: [0.005, 0.9] as [number, number] }

  for (const file of files) {
    it(`${path.basename(file)}: crops are those of the whole picture, bit for bit`, async () => {
      for (let epoch = 0; epoch < 24; epoch++) {
        const [part, whole] = [await oneImage(file, crop, epoch), await wholeImage(file, crop, epoch)]
        expect(Buffer.from(part.buffer).equals(Buffer.from(whole.buffer)), `epoch ${epoch}`).to.be.true
      }
    })

    it(`${path.basename(file)}: so is the centre crop of evaluation`, async () => {
      for (const resize of [33, 80, 300]) {
        const transform = { ...evalTransform(dataset, { crop: 32, resize }), interpolation: 'bicubic' as const }
        expect(await oneImage(file, transform, 0)).to.deep.equal(await wholeImage(file, transform, 0))
      }
    })
  }

  it('a file that was cut off is bad whatever part of it is wanted', async () => {
    const whole = readFileSync(photos[0]!)
    const name = path.join(folder.files('cut', { 'cut.jpg': whole.subarray(0, whole.length - 2000) }), 'cut.jpg')
    for (let epoch = 0; epoch < 8; epoch++) {
      const dataset = fromFiles([name, photos[1]!], { split: 'train' })
      const [batch] = await collect(loader(dataset, { batchSize: 2, epoch, transform: crop }))
      expect(batch!.bad.map((bad) => bad.path)).to.include(name)
    }
  })

  it('decoding at a reduced size changes little, and only where the crop is large enough', async () => {
    for (const file of photos) {
      for (let epoch = 0; epoch < 6; epoch++) {
        const exact: TransformOptions = { ...crop, area: [0.5, 1], mean: [0, 0, 0], std: [1, 1, 1] }
        const full = await oneImage(file, exact, epoch)
        const reduced = await oneImage(file, { ...exact, dctScale: true }, epoch)
        let sum = 0
        for (let i = 0; i < full.length; i++) sum += Math.abs(full[i]! - reduced[i]!)
        // A block's mean instead of the antialiasing filter's: the same picture a fraction of a pixel softer or sharper.
        expect(sum / full.length, `${file}, epoch ${epoch}`).to.be.within(1e-6, 0.02)
      }
      const small = { ...crop, height: 300, width: 300, dctScale: true }
      expect(await oneImage(file, small, 0)).to.deep.equal(await oneImage(file, { ...small, dctScale: false }, 0))
    }
  })
})
