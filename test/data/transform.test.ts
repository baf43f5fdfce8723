/** Geometry and normalisation against references written from their definitions, random draws included. */
import { expect } from 'chai'
import { fromArrays } from '../../lib/data/arrays.js'
import { loader } from '../../lib/data/loader.js'
import { trainTransform } from '../../lib/data/presets.js'
import type { TransformOptions } from '../../lib/native.js'
import { drawCrop } from './draw-crop.js'
import { identity } from '../support/transforms.js'
import { collect, pseudoRandomBytes } from './helpers.js'
import { philoxStream } from './philox.js'
import { resizeReference } from './reference-resize.js'

interface Picture {
  data: Uint8Array
  width: number
  height: number
}

function noise(width: number, height: number, count = 1): Picture {
  return { data: pseudoRandomBytes(width * height * 3 * count, width + height), width, height }
}

/** Puts each of `count` pictures, one after the other in `data`, through the native transform; values of [count, height, width, 3]. */
async function apply(picture: Picture, transform: TransformOptions, { count = 1, seed = 0, epoch = 0 } = {}): Promise<Float32Array> {
  const dataset = fromArrays({ images: picture.data, labels: new Int32Array(count), height: picture.height, width: picture.width })
  const batches = await collect(loader(dataset, { batchSize: count, seed, epoch, shuffle: false, transform }))
  return batches[0]!.images
}

/** Greatest difference from what is expected in 0..255, in steps of 8 bits. */
function stepsApart(values: Float32Array, expected: ArrayLike<number>): number {
  if (values.length !== expected.length) return Infinity
  let most = 0
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]! * 255 - expected[i]!))
  return most
}

function crop({ data, width }: Picture, x: number, y: number, w: number, h: number): Picture {
  const out = new Uint8Array(w * h * 3)
  for (let row = 0; row < h; row++) out.set(data.subarray(((y + row) * width + x) * 3, ((y + row) * width + x + w) * 3), row * w * 3)
  return { data: out, width: w, height: h }
}

describe('transform: normalisation', () => {
  it('is (v / 255 - mean) / std in float32, per channel', async () => {
    const picture = noise(16, 16)
    const mean = [0.485, 0.456, 0.406] as const
    const std = [0.229, 0.224, 0.225] as const
    const values = await apply(picture, { ...identity, height: 16, width: 16, mean: [...mean], std: [...std] })
    const f = Math.fround
    picture.data.forEach((v, i) => expect(values[i]).to.equal(f(f(f(v / 255) - f(mean[i % 3]!)) / f(std[i % 3]!))))
  })
})

describe('transform: pad_crop', () => {
  const count = 40
  const size = 8
  const pad = 3
  const picture = noise(size, size, count)
  const mean: [number, number, number] = [0.4, 0.5, 0.6]
  const std: [number, number, number] = [0.2, 0.3, 0.4]
  const transform: TransformOptions = { ...identity, height: size, width: size, geometry: 'pad_crop', pad, flip: 0.5, mean, std }

  it('crops, flips and pads with the mean colour, as the random numbers say', async () => {
    const [seed, epoch] = [7, 3]
    const values = await apply(picture, transform, { count, seed, epoch })
    let flips = 0
    for (let n = 0; n < count; n++) {
      const random = philoxStream(seed, epoch, n, 'crop')
      const top = random.below(2 * pad + 1) - pad
      const left = random.below(2 * pad + 1) - pad
      const flip = philoxStream(seed, epoch, n, 'flip').uniform() < 0.5
      flips += flip ? 1 : 0
      for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
          const [sy, sx] = [y + top, (flip ? size - 1 - x : x) + left]
          const inside = sy >= 0 && sy < size && sx >= 0 && sx < size
          for (let c = 0; c < 3; c++) {
            const byte = picture.data[((n * size + sy) * size + sx) * 3 + c]!
            const expected = inside ? (byte / 255 - mean[c]!) / std[c]! : 0
            expect(values[((n * size + y) * size + x) * 3 + c]).to.be.closeTo(expected, 1e-6)
          }
        }
      }
    }
    expect(flips).to.be.within(10, 30)
  })

  it('moves with the epoch and the seed', async () => {
    const a = await apply(picture, transform, { count })
    expect(await apply(picture, transform, { count, epoch: 1 })).to.not.deep.equal(a)
    expect(await apply(picture, transform, { count, seed: 1 })).to.not.deep.equal(a)
    expect(await apply(picture, transform, { count })).to.deep.equal(a)
  })
})

describe('transform: resize', () => {
  const sizes: [from: [number, number], to: [number, number]][] = [
    [
      [40, 30],
      [20, 15],
    ],
    [
      [37, 53],
      [11, 17],
    ],
    [
      [9, 7],
      [27, 21],
    ],
    [
      [64, 5],
      [16, 16],
    ],
    [
      [5, 64],
      [16, 16],
    ],
    [
      [100, 100],
      [99, 99],
    ],
    [
      [1, 1],
      [8, 8],
    ],
    [
      [200, 3],
      [7, 3],
    ],
  ]
  for (const interpolation of ['bilinear', 'bicubic'] as const) {
    for (const [[width, height], [outWidth, outHeight]] of sizes) {
      it(`${interpolation} ${width}x${height} -> ${outWidth}x${outHeight} is within one step of the float64 reference`, async () => {
        const picture = noise(width, height)
        // The whole picture, stretched: the one crop there is.
        const whole: TransformOptions = {
          ...identity,
          geometry: 'random_resized_crop',
          height: outHeight,
          width: outWidth,
          aspect: [width / height, width / height],
          interpolation,
        }
        const expected = resizeReference(picture, outWidth, outHeight, interpolation)
        // Two roundings to 8 bits, half a step each; the bicubic filter's negative lobes make up to 1.3 of the first.
        expect(stepsApart(await apply(picture, whole), expected)).to.be.at.most(interpolation === 'bilinear' ? 1.01 : 1.2)
      })
    }
  }

  it('does not alias: a fine chequerboard becomes grey', async () => {
    const size = 64
    const data = new Uint8Array(size * size * 3)
    for (let i = 0; i < size * size; i++) data.fill((i + Math.floor(i / size)) % 2 === 0 ? 255 : 0, 3 * i, 3 * i + 3)
    const values = await apply({ data, width: size, height: size }, { ...identity, height: 16, width: 16, resize: 16 })
    values.forEach((v) => expect(v).to.be.closeTo(0.5, 0.01))
  })
})

describe('transform: resize_crop', () => {
  for (const [width, height, resize, side] of [
    [40, 30, 20, 16],
    [30, 41, 20, 16],
    [33, 33, 33, 32],
    [23, 40, 0, 20],
    [50, 31, 24, 24],
  ] as const) {
    it(`${width}x${height}, shorter side ${resize}, crop ${side}: as torchvision's Resize and CenterCrop`, async () => {
      const picture = noise(width, height)
      const shorter = Math.min(width, height)
      const scaled = (v: number) => (resize === 0 ? v : v === shorter ? resize : Math.floor((resize * v) / shorter))
      const [w, h] = [scaled(width), scaled(height)]
      const resized = { data: resizeReference(picture, w, h, 'bilinear'), width: w, height: h }
      // Python's round(): halves go to the even side.
      const round = (v: number) => (v % 1 === 0.5 ? 2 * Math.round(v / 2) : Math.round(v))
      const [left, top] = [round((w - side) / 2), round((h - side) / 2)]
      const expected: number[] = []
      for (let y = 0; y < side; y++) {
        for (let x = 0; x < side * 3; x++) expected.push(resized.data[((y + top) * w + left) * 3 + x]!)
      }
      const values = await apply(picture, { ...identity, height: side, width: side, resize })
      expect(stepsApart(values, expected)).to.be.at.most(1.01)
    })
  }

  it('puts black around a picture smaller than the crop', async () => {
    const picture = noise(5, 20)
    const mean: [number, number, number] = [0.5, 0.5, 0.5]
    const values = await apply(picture, { ...identity, height: 10, width: 10, mean })
    for (let y = 0; y < 10; y++) {
      for (let x = 0; x < 10; x++) {
        for (let c = 0; c < 3; c++) {
          // 5 columns in 10: two empty ones on the left, three on the right; of 20 rows the middle ten.
          const byte = x >= 2 && x < 7 ? picture.data[((y + 5) * 5 + x - 2) * 3 + c]! : 0
          expect(values[(y * 10 + x) * 3 + c]).to.be.closeTo(byte / 255 - 0.5, 1e-6)
        }
      }
    }
  })

  it('copes with a line of 1 x 3000 pixels', async () => {
    const values = await apply(noise(1, 3000), { ...identity, height: 8, width: 8, resize: 9 })
    expect(values.every((v) => v >= 0 && v <= 1)).to.be.true
  })
})

describe('transform: random_resized_crop', () => {
  const [width, height, side] = [60, 41, 16]
  const area = [0.08, 1] as const
  const aspect = [3 / 4, 4 / 3] as const

  it('takes the crops that its random numbers say', async () => {
    const count = 12
    const picture = noise(width, height, count)
    const transform: TransformOptions = {
      ...identity,
      geometry: 'random_resized_crop',
      height: side,
      width: side,
      area: [...area],
      aspect: [...aspect],
    }
    const values = await apply(picture, transform, { count, seed: 11 })
    const seen = new Set<string>()
    for (let n = 0; n < count; n++) {
      const { x, y, w, h } = drawCrop(width, height, { seed: 11, epoch: 0, sample: n }, { area, aspect })
      seen.add(`${w}x${h}`)
      const one = { data: picture.data.subarray(n * width * height * 3), width, height }
      const expected = resizeReference(crop(one, x, y, w, h), side, side, 'bilinear')
      const part = values.subarray(n * side * side * 3, (n + 1) * side * side * 3)
      expect(stepsApart(part, expected), `image ${n}: ${w}x${h} at ${x},${y}`).to.be.at.most(1.01)
    }
    expect(seen.size).to.be.greaterThan(6)
  })

  it('falls back to a centre crop where no try fits', async () => {
    // Only nearly square crops of the whole area are asked for: none fits into a line.
    const picture = noise(90, 10)
    const transform: TransformOptions = { ...identity, geometry: 'random_resized_crop', height: 8, width: 8, aspect: [0.9, 1.1] }
    const expected = resizeReference(crop(picture, 39, 0, 11, 10), 8, 8, 'bilinear')
    expect(stepsApart(await apply(picture, transform), expected)).to.be.at.most(1.01)
  })

  it('the presets ask for the areas of the recipes', () => {
    const dataset = { ...fromArrays({ images: new Uint8Array(12), labels: [0], height: 2, width: 2 }), imageSize: null }
    expect(trainTransform(dataset, { augment: 'paper' })).to.deep.include({ area: [0.08, 1], aspect: [3 / 4, 4 / 3], flip: 0.5 })
    expect(trainTransform(dataset, { augment: 'light' })).to.deep.include({ area: [0.2, 1], aspect: [3 / 4, 4 / 3], flip: 0.5 })
  })
})
