/** decodeImage on pictures made here, whose pixels are known, and on the damage a data set can contain. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { expect } from 'chai'
import { decodeImage } from '../../lib/data/decode-image.js'
import { errorOf, pseudoRandomBytes, temporaryFolder } from './helpers.js'
import { makeJpeg } from './make-jpeg.js'
import type { JpegOptions } from './make-jpeg.js'
import { channelsOf, makePng, rgbPng } from './make-png.js'
import type { PngOptions } from './make-png.js'

describe('decode PNG', () => {
  const width = 7
  const height = 5

  for (const colorType of [0, 2, 4, 6] as const) {
    for (const bitDepth of colorType === 0 ? ([1, 2, 4, 8, 16] as const) : ([8, 16] as const)) {
      it(`colour type ${colorType}, ${bitDepth} bits`, async () => {
        const channels = channelsOf[colorType]
        const most = 2 ** bitDepth - 1
        const random = pseudoRandomBytes(width * height * channels * 2, colorType + bitDepth)
        const samples = Array.from({ length: width * height * channels }, (_, i) => ((random[2 * i]! << 8) | random[2 * i + 1]!) & most)
        const image = await decodeImage(makePng({ width, height, colorType, bitDepth, samples }))
        expect([image.width, image.height]).to.deep.equal([width, height])
        const grey = channels < 3
        const expected = Array.from({ length: width * height * 3 }, (_, i) => {
          const sample = samples[Math.floor(i / 3) * channels + (grey ? 0 : i % 3)]!
          return Math.round((sample * 255) / most)
        })
        expect(Array.from(image.data)).to.deep.equal(expected)
      })
    }
  }

  for (const bitDepth of [1, 2, 4, 8] as const) {
    it(`palette, ${bitDepth} bits`, async () => {
      const colours = 2 ** bitDepth
      const palette = Array.from(pseudoRandomBytes(colours * 3, 99))
      const samples = pseudoRandomBytes(width * height, 5).map((v) => v % colours)
      const image = await decodeImage(makePng({ width, height, colorType: 3, bitDepth, samples, palette }))
      expect(Array.from(image.data)).to.deep.equal(Array.from(samples).flatMap((v) => palette.slice(3 * v, 3 * v + 3)))
    })
  }

  it('refuses every shortened file', async () => {
    const file = rgbPng(width, height, pseudoRandomBytes(width * height * 3))
    for (let length = 0; length < file.length; length++) {
      const error = await errorOf(() => decodeImage(file.subarray(0, length)))
      expect(error.code, `${length} of ${file.length} bytes`).to.equal('ERR_SKNET_DECODE')
    }
  })

  it('refuses a flipped bit anywhere in the picture data', async () => {
    const file = rgbPng(width, height, pseudoRandomBytes(width * height * 3))
    const start = file.indexOf('IDAT') + 4
    for (let at = start; at < file.length - 16; at += 3) {
      const damaged = Buffer.from(file)
      damaged[at]! ^= 0x10
      expect((await errorOf(() => decodeImage(damaged))).code, `byte ${at}`).to.equal('ERR_SKNET_DECODE')
    }
  })
})

/** Every 8 x 8 block as one colour: [down, across] triples to pixels. */
function blocksToPixels(across: number, down: number, colours: number[][]): number[] {
  const pixels: number[] = []
  for (let y = 0; y < down * 8; y++) {
    for (let x = 0; x < across * 8; x++) pixels.push(...colours[(y >> 3) * across + (x >> 3)]!)
  }
  return pixels
}

function levelsOf(components: number, blocks: number, seed: number): number[] {
  return Array.from(pseudoRandomBytes(components * blocks, seed))
}

function greatestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity
  let most = 0
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!))
  return most
}

describe('decode JPEG', () => {
  const shape = { across: 3, down: 2 }
  const triple = (levels: number[], block: number) => levels.slice(3 * block, 3 * block + 3)
  const ycc = ([y, cb, cr]: number[]) =>
    [y! + 1.402 * (cr! - 128), y! - 0.344136 * (cb! - 128) - 0.714136 * (cr! - 128), y! + 1.772 * (cb! - 128)].map((v) =>
      Math.min(255, Math.max(0, v)),
    )
  const cmyk = ([c, m, y, k]: number[]) => [c!, m!, y!].map((ink) => ((255 - ink) * (255 - k!)) / 255)

  const cases: {
    name: string
    options: Omit<JpegOptions, 'across' | 'down' | 'levels'>
    colour: (levels: number[], block: number) => number[]
  }[] = [
    { name: 'grey', options: { components: 1 }, colour: (levels, b) => [levels[b]!, levels[b]!, levels[b]!] },
    { name: 'YCbCr', options: { components: 3 }, colour: (levels, b) => ycc(triple(levels, b)) },
    { name: 'stored RGB (Adobe 0)', options: { components: 3, adobe: 0 }, colour: triple },
    { name: 'progressive grey', options: { components: 1, acBands: 63 }, colour: (levels, b) => [levels[b]!, levels[b]!, levels[b]!] },
    { name: 'progressive YCbCr', options: { components: 3, acBands: 2 }, colour: (levels, b) => ycc(triple(levels, b)) },
    { name: 'CMYK without a marker', options: { components: 4 }, colour: (levels, b) => cmyk(levels.slice(4 * b, 4 * b + 4)) },
    {
      name: 'CMYK as Adobe stores it, inverted',
      options: { components: 4, adobe: 0 },
      colour: (levels, b) => cmyk(levels.slice(4 * b, 4 * b + 4).map((v) => 255 - v)),
    },
    {
      // YCbCr of the inverted inks, K as it is.
      name: 'YCCK',
      options: { components: 4, adobe: 2 },
      colour: (levels, b) => {
        const stored = ycc(levels.slice(4 * b, 4 * b + 3)).map((v) => 255 - v)
        return cmyk([...stored.map((v) => 255 - v), 255 - levels[4 * b + 3]!])
      },
    },
  ]
  for (const { name, options, colour } of cases) {
    it(name, async () => {
      const levels = levelsOf(options.components, 6, 17)
      const image = await decodeImage(makeJpeg({ ...shape, ...options, levels }))
      expect([image.width, image.height]).to.deep.equal([24, 16])
      const expected = blocksToPixels(
        3,
        2,
        Array.from({ length: 6 }, (_, b) => colour(levels, b)),
      )
      expect(greatestDifference(image.data, expected)).to.be.at.most(1.5)
    })
  }

  it('refuses more than 100 scans', async () => {
    const error = await errorOf(() => decodeImage(makeJpeg({ ...shape, components: 3, acBands: 40, levels: levelsOf(3, 6, 1) })))
    expect(error.code).to.equal('ERR_SKNET_DECODE')
    expect(error.message).to.match(/more than 100 progressive scans/)
  })

  it('refuses a file cut anywhere before its last block', async () => {
    for (const acBands of [undefined, 2]) {
      const options: JpegOptions = { ...shape, components: 3, levels: levelsOf(3, 6, 2), ...(acBands === undefined ? {} : { acBands }) }
      const file = makeJpeg(options)
      for (let length = 0; length < file.length - 6; length++) {
        const error = await errorOf(() => decodeImage(file.subarray(0, length)))
        expect(error.code, `${length} of ${file.length} bytes`).to.equal('ERR_SKNET_DECODE')
      }
    }
  })

  it('accepts stray bytes between markers, as cameras leave them', async () => {
    const file = makeJpeg({ ...shape, components: 1, levels: levelsOf(1, 6, 3) })
    const padded = Buffer.concat([file.subarray(0, -2), Buffer.from([1, 2, 3]), file.subarray(-2)])
    expect((await decodeImage(padded)).data).to.deep.equal((await decodeImage(file)).data)
  })
})

describe('decode: what is no picture', () => {
  const folder = temporaryFolder()
  after(folder.remove)

  const found: [name: string, bytes: Buffer, message: RegExp][] = [
    ['nothing', Buffer.alloc(0), /empty/],
    ['GIF', Buffer.from('GIF89a......'), /GIF image, expected a JPEG or PNG/],
    ['WebP', Buffer.from('RIFF\0\0\0\0WEBPVP8 '), /WebP image/],
    ['BMP', Buffer.from('BM\0\0\0\0'), /BMP image/],
    ['TIFF', Buffer.from('II*\0....'), /TIFF image/],
    ['AVIF', Buffer.from('\0\0\0\x1cftypavif'), /AVIF image/],
    ['a web page', Buffer.from('<html>404</html>'), /HTML or XML text/],
    ['noise', Buffer.from([1, 2, 3, 4, 5]), /unknown data \(first bytes 01 02 03 04\)/],
  ]
  for (const [name, bytes, message] of found) {
    it(`names ${name} and the path, whatever the file is called`, async () => {
      const path = join(folder.files('found', { 'picture.jpg': bytes }), 'picture.jpg')
      const error = await errorOf(() => decodeImage(path))
      expect(error).to.include({ code: 'ERR_SKNET_DECODE', path, exitCode: 3 })
      expect(error.message).to.match(message)
      expect(error.message.startsWith(path)).to.be.true
    })
  }

  it('goes by content, not by name', async () => {
    const path = join(folder.files('names', { 'png.jpg': rgbPng(2, 1, [1, 2, 3, 4, 5, 6]) }), 'png.jpg')
    expect(Array.from((await decodeImage(path)).data)).to.deep.equal([1, 2, 3, 4, 5, 6])
  })

  it('refuses a size bomb by its header, at once', async () => {
    const bomb: PngOptions = { width: 1, height: 1, colorType: 2, bitDepth: 8, samples: [0, 0, 0] }
    const file = makePng(bomb)
    file.writeUInt32BE(60000, 16)
    file.writeUInt32BE(60000, 20)
    // The header's own checksum, so that only the size can be objected to.
    file.writeUInt32BE(crc32(file.subarray(12, 29)), 29)
    const error = await errorOf(() => decodeImage(file))
    expect(error.message).to.match(/60000x60000/)
    expect(error.got).to.equal('60000x60000')
  })

  it('keeps to maxPixels exactly', async () => {
    const file = rgbPng(4, 3, new Uint8Array(36))
    expect((await decodeImage(file, { maxPixels: 12 })).width).to.equal(4)
    expect((await errorOf(() => decodeImage(file, { maxPixels: 11 }))).code).to.equal('ERR_SKNET_DECODE')
  })

  it('reports missing files, folders and FIFOs without waiting', async () => {
    const root = folder.files('odd', {})
    mkdirSync(join(root, 'folder.jpg'))
    execFileSync('mkfifo', [join(root, 'fifo.jpg')])
    for (const [name, message] of [
      ['missing.jpg', /ENOENT/],
      ['folder.jpg', /a folder/],
      ['fifo.jpg', /no regular file/],
    ] as const) {
      const path = join(root, name)
      const error = await errorOf(() => decodeImage(path))
      expect(error).to.include({ code: 'ERR_SKNET_DATA', path })
      expect(error.message).to.match(message)
    }
  })

  it('does not look at the buffer after the call has returned', async () => {
    const file = rgbPng(2, 1, [1, 2, 3, 4, 5, 6])
    const promise = decodeImage(file)
    file.fill(0)
    expect(Array.from((await promise).data)).to.deep.equal([1, 2, 3, 4, 5, 6])
  })
})
