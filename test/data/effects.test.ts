/** Changes of colour and shape against what Pillow and torchvision make of the same picture, and how strengths are drawn. */
import { expect } from 'chai'
import { fromArrays } from '../../lib/data/arrays.js'
import { loader } from '../../lib/data/loader.js'
import { trainTransform } from '../../lib/data/presets.js'
import type { Effect } from '../../lib/native.js'
import { goldenImages, plainTransform, toBytes } from './golden.js'
import { collect, pseudoRandomBytes } from './helpers.js'
import { philoxStream } from './philox.js'

const { picture, effects: cases } = goldenImages()
const { width, height } = picture
const pixels = Uint8Array.from(Buffer.from(picture.pixels, 'base64'))

/** `effects` on `count` copies of the picture, each with its own random numbers. */
async function apply(effects: Effect[], { count = 1, seed = 0, epoch = 0, threads = 1 } = {}): Promise<Uint8Array[]> {
  const images = new Uint8Array(pixels.length * count)
  for (let n = 0; n < count; n++) images.set(pixels, n * pixels.length)
  const dataset = fromArrays({ images, labels: new Int32Array(count), width, height })
  const transform = { ...plainTransform(width, height), effects }
  const [batch] = await collect(loader(dataset, { batchSize: count, shuffle: false, seed, epoch, threads, transform }))
  const bytes = toBytes(batch!.images)
  return Array.from({ length: count }, (_, n) => bytes.subarray(n * pixels.length, (n + 1) * pixels.length))
}

function name(effect: Effect): string {
  const range = 'range' in effect ? ` ${effect.range[0]}` : ''
  return `${effect.kind}${range}${'interpolation' in effect ? ` ${effect.interpolation}` : ''}`
}

describe('effects: each as Pillow and torchvision do it', () => {
  for (const { effect, result } of cases) {
    it(name(effect), async () => {
      const [got] = await apply([effect])
      expect(Buffer.from(got!).toString('base64')).to.equal(result)
    })
  }
})

describe('effects: random strengths', () => {
  const meanOf = (bytes: Uint8Array) => bytes.reduce((sum, v) => sum + v, 0) / bytes.length

  it('are drawn evenly from the range, keyed by seed, epoch and sample', async () => {
    const effect: Effect = { kind: 'brightness', range: [0.5, 0.9] }
    const got = await apply([effect], { count: 40, seed: 3, epoch: 2 })
    for (const [n, bytes] of got.entries()) {
      const factor = 0.5 + 0.4 * philoxStream(3, 2, n, 'effects').uniform()
      // The cut to whole numbers takes half a step.
      expect(meanOf(bytes) + 0.5).to.be.closeTo(meanOf(pixels) * factor, 0.2)
    }
  })

  it('offset moves each channel by its own whole number', async () => {
    const got = await apply([{ kind: 'offset', range: [-20, 20] }], { count: 60, seed: 1 })
    const seen = new Set<number>()
    for (const bytes of got) {
      const offsets = [0, 1, 2].map((c) => {
        const moved = Array.from(pixels, (v, i) => ({ v, to: bytes[i]!, c: i % 3 })).filter((p) => p.c === c && p.to > 0 && p.to < 255)
        const offset = moved[0]!.to - moved[0]!.v
        expect(moved.every((p) => p.to - p.v === offset)).to.be.true
        return offset
      })
      offsets.forEach((offset) => seen.add(offset))
    }
    expect(Math.min(...seen)).to.be.within(-20, -15)
    expect(Math.max(...seen)).to.be.within(15, 20)
  })

  it('color_jitter is its parts in an order of its own', async () => {
    const effect: Effect = { kind: 'color_jitter', brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }
    const [seed, count] = [5, 8]
    const got = await apply([effect], { count, seed })
    const orders = new Set<string>()
    for (let n = 0; n < count; n++) {
      const random = philoxStream(seed, 0, n, 'effects')
      const steps = ['brightness', 'contrast', 'saturation', 'hue'] as const
      const order = [...steps]
      for (let i = order.length; i > 1; i--) {
        const j = random.below(i)
        ;[order[i - 1], order[j]] = [order[j]!, order[i - 1]!]
      }
      orders.add(order.join())
      const parts = order.map((kind): Effect => {
        const u = random.uniform()
        const value = kind === 'hue' ? -0.1 + 0.2 * u : 0.6 + 0.8 * u
        return { kind, range: [value, value] }
      })
      expect((await apply(parts))[0]).to.deep.equal(got[n])
    }
    expect(orders.size).to.be.greaterThan(4)
  })

  it('rand_augment draws torchvision’s fourteen effects at its strengths', async () => {
    const [seed, magnitude, count] = [9, 9, 60]
    const share = magnitude / 30
    const black: [number, number, number] = [0, 0, 0]
    const move = (kind: 'shear_x' | 'shear_y' | 'translate_x' | 'translate_y' | 'rotate', most: number) => (sign: number) => {
      const value = sign * most * share
      return [{ kind, range: [value, value], interpolation: 'nearest', fill: black }] as Effect[]
    }
    const enhance = (kind: 'brightness' | 'saturation' | 'contrast' | 'sharpness') => (sign: number) => {
      const value = 1 + sign * 0.9 * share
      return [{ kind, range: [value, value] }] as Effect[]
    }
    const space: ((sign: number) => Effect[])[] = [
      () => [],
      move('shear_x', 0.3),
      move('shear_y', 0.3),
      move('translate_x', 150 / 331),
      move('translate_y', 150 / 331),
      move('rotate', 30),
      enhance('brightness'),
      enhance('saturation'),
      enhance('contrast'),
      enhance('sharpness'),
      // 8 - round(4 * 9 / 30), 255 - 255 * 9 / 30
      () => [{ kind: 'posterize', range: [7, 7] }],
      () => [{ kind: 'solarize', range: [178.5, 178.5] }],
      () => [{ kind: 'autocontrast' }],
      () => [{ kind: 'equalize' }],
    ]
    const got = await apply([{ kind: 'rand_augment', count: 2, magnitude }], { count, seed })
    const drawn = new Set<number>()
    for (let n = 0; n < count; n++) {
      const random = philoxStream(seed, 0, n, 'effects')
      const parts: Effect[] = []
      for (let i = 0; i < 2; i++) {
        const place = random.below(space.length)
        drawn.add(place)
        parts.push(...space[place]!(random.uniform() < 0.5 ? -1 : 1))
      }
      expect((await apply(parts))[0], `image ${n}`).to.deep.equal(got[n])
    }
    expect(drawn.size).to.equal(space.length)
  })

  it('do not depend on the number of threads', async () => {
    const effects: Effect[] = [
      { kind: 'rand_augment', count: 2, magnitude: 15 },
      { kind: 'rotate', range: [-10, 10] },
    ]
    const one = await apply(effects, { count: 32, threads: 1 })
    for (const threads of [2, 4, 8]) expect(await apply(effects, { count: 32, threads })).to.deep.equal(one)
  })

  it('change the picture before pad_crop pads it with the mean colour', async () => {
    const side = 8
    const images = pseudoRandomBytes(side * side * 3)
    const dataset = fromArrays({ images, labels: [0], width: side, height: side })
    const transform = { ...trainTransform(dataset, { augment: 'cifar' }), pad: side, flip: 0 }
    const shrunk: Effect = { kind: 'brightness', range: [0, 0] }
    const [plain] = await collect(loader(dataset, { batchSize: 1, transform }))
    const [dark] = await collect(loader(dataset, { batchSize: 1, transform: { ...transform, effects: [shrunk] } }))
    const black = transform.mean.map((mean, c) => Math.fround(-mean / transform.std[c]!))
    plain!.images.forEach((v, i) => {
      if (v === 0) expect(dark!.images[i]).to.equal(0)
      else expect(dark!.images[i]).to.be.closeTo(black[i % 3]!, 1e-6)
    })
  })
})

describe('preset senet', () => {
  it('adds a rotation of up to 10 degrees and an offset of up to 20 to the crops of paper', () => {
    const dataset = fromArrays({ images: new Uint8Array(12), labels: [0], height: 2, width: 2 })
    const { effects, ...rest } = trainTransform(dataset, { augment: 'senet', size: 2 })
    expect(rest).to.deep.equal(trainTransform(dataset, { augment: 'paper', size: 2 }))
    // The mean colour comes in at the corners: 0 after normalisation.
    expect(effects).to.deep.equal([
      { kind: 'rotate', range: [-10, 10], interpolation: 'bilinear', fill: [128, 128, 128] },
      { kind: 'offset', range: [-20, 20] },
    ])
  })
})
