/** Real odd files: what an image loader must do with each is written in the manifest beside them. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { decodeImage } from '../../lib/data/decode-image.js'
import { SknetError } from '../../lib/errors.js'
import { errorOf } from './helpers.js'

const folder = path.resolve(import.meta.dirname, '../../../shared/data/quirks')

interface Entry {
  file: string
  /** bounded: must be refused, or decoded in bounded memory; we refuse. *_or_*: either is right, but never a crash. */
  expect: 'decode' | 'error' | 'decode_or_error' | 'error_or_partial' | 'bounded'
  width?: number
  height?: number
  mean_rgb?: number[]
  mean_tol?: number
  stored_quadrant_mean_rgb?: number[][]
}

function meanOf(data: Uint8Array, width: number, box: [left: number, top: number, right: number, bottom: number]): number[] {
  const sums = [0, 0, 0]
  const [left, top, right, bottom] = box
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) for (let c = 0; c < 3; c++) sums[c]! += data[(y * width + x) * 3 + c]!
  }
  return sums.map((sum) => sum / ((right - left) * (bottom - top)))
}

describe('odd image files', function () {
  const manifest = path.join(folder, 'MANIFEST.json')
  if (!existsSync(manifest)) {
    it(`skipped: ${manifest} is not there`, function () {
      this.skip()
    })
    return
  }
  const { files } = JSON.parse(readFileSync(manifest, 'utf8')) as { files: Entry[] }
  for (const entry of files) {
    it(`${entry.file}: ${entry.expect}`, async () => {
      const file = path.join(folder, entry.file)
      if (entry.expect === 'error' || entry.expect === 'bounded') {
        const error = await errorOf(() => decodeImage(file))
        expect(error).to.include({ code: 'ERR_SKNET_DECODE', path: file })
        return
      }
      const image = await decodeImage(file).catch((error: unknown) => error)
      if (image instanceof SknetError) {
        expect(entry.expect, image.message).to.not.equal('decode')
        expect(image).to.include({ code: 'ERR_SKNET_DECODE', path: file })
        return
      }
      const { data, width, height } = image as Awaited<ReturnType<typeof decodeImage>>
      // EXIF orientation is not honoured, as in torchvision: the stored size and the stored quadrants.
      expect([width, height]).to.deep.equal([entry.width, entry.height])
      if (entry.mean_rgb === undefined) return
      meanOf(data, width, [0, 0, width, height]).forEach((mean, c) => expect(mean).to.be.closeTo(entry.mean_rgb![c]!, entry.mean_tol!))
      if (entry.stored_quadrant_mean_rgb === undefined || width < 2 || height < 2) return
      const [x, y] = [Math.floor(width / 2), Math.floor(height / 2)]
      const boxes = [
        [0, 0, x, y],
        [x, 0, width, y],
        [0, y, x, height],
        [x, y, width, height],
      ] as const
      boxes.forEach((box, q) => {
        meanOf(data, width, [...box]).forEach((mean, c) => expect(mean).to.be.closeTo(entry.stored_quadrant_mean_rgb![q]![c]!, 4))
      })
    })
  }
})
