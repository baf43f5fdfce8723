/** Whole photographs against Pillow and torchvision, and the statistics of random crops against torchvision's. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { fromFiles } from '../../lib/data/arrays.js'
import { decodeImage } from '../../lib/data/decode-image.js'
import { loader } from '../../lib/data/loader.js'
import { drawCrop } from './draw-crop.js'
import { goldenImages, plainTransform, toBytes } from './golden.js'

const golden = goldenImages()
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('photographs as Pillow sees them', function () {
  const root = path.resolve(import.meta.dirname, '../../../shared/data/photos')
  if (!existsSync(root)) {
    it(`skipped: ${root} is not there`, function () {
      this.skip()
    })
    return
  }
  this.timeout(60_000)
  const names = Object.keys(golden.photos)
  const files = names.map((name) => path.join(root, name))

  it(`${files.length} decode to the same bytes`, async () => {
    for (const [i, name] of names.entries())
      expect(sha256((await decodeImage(files[i]!)).data), name).to.equal(golden.photos[name]!.decoded)
  })

  for (const interpolation of ['bilinear', 'bicubic'] as const) {
    it(`${files.length} resized to 256 and cropped to 224, ${interpolation}: the same bytes`, async () => {
      const transform = { ...plainTransform(224, 224), resize: 256, interpolation }
      for await (const batch of loader(fromFiles(files), { batchSize: 1, shuffle: false, transform })) {
        const name = names[batch.indices[0]!]!
        expect(sha256(toBytes(batch.images)), name).to.equal(golden.photos[name]![interpolation])
      }
    })
  }
})

describe('random crops: area, aspect and position', () => {
  const { width, height, quantiles } = golden.crops
  const count = 4000
  const crops = Array.from({ length: count }, (_, n) => drawCrop(width, height, { seed: 17, epoch: 0, sample: n }))
  const facts = {
    area: crops.map(({ w, h }) => (w * h) / (width * height)),
    aspect: crops.map(({ w, h }) => w / h),
    x: crops.map(({ x, w }) => (x + w / 2) / width),
    y: crops.map(({ y, h }) => (y + h / 2) / height),
  }
  for (const name of ['area', 'aspect', 'x', 'y'] as const) {
    it(`${name}: Kolmogorov-Smirnov against 50,000 of torchvision's`, () => {
      const ours = facts[name].sort((a, b) => a - b)
      const theirs = quantiles[name]
      let most = 0
      for (const [i, value] of theirs.entries()) {
        // How many of ours are at most this quantile of theirs; numbers are stored to five places.
        const below = ours.filter((v) => v <= value + 1e-5).length / count
        most = Math.max(most, Math.abs(below - (i + 0.5) / theirs.length))
      }
      // Two-sample test at 0.1 %: 1.95 sqrt(1/4000 + 1/50000), and 1/1000 for the quantiles' spacing.
      expect(most).to.be.below(1.95 * Math.sqrt(1 / count + 1 / 50_000) + 0.001)
    })
  }
})
