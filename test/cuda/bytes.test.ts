/** Batches of bytes on the emulated device: the same bits as from batches of floats, whatever is left to do with the pictures. */
import { expect } from 'chai'
import { fromArrays } from '../../lib/data/arrays.js'
import { customSource } from '../../lib/data/custom.js'
import type { Dataset } from '../../lib/data/dataset.js'
import { imageBytes } from '../../lib/data/image-bytes.js'
import { openLoader, type LoaderSettings } from '../../lib/data/loader.js'
import { evalTransform, trainTransform } from '../../lib/data/presets.js'
import type { Layer } from '../../lib/model/spec.js'
import { awaitNative, native, type Plan, type Precision, type TransformOptions } from '../../lib/native.js'
import { pseudoRandomBytes } from '../data/helpers.js'
import { makeJpeg } from '../data/make-jpeg.js'
import { networkShape } from '../reference/layer-tensors.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { drawTensor } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { random } from '../support/random.js'

const [count, batchSize, classes] = [12, 4, 3]

/** The input is read as rows by a convolution, or in the layout of activations by others. */
const networks: Record<string, Layer[]> = {
  rows: [l.conv2d('a', 'input', 8, { kernel: 3, padding: 1 }), l.globalAvgPool('p', 'a'), l.linear('fc', 'p', classes)],
  layout: [l.maxPool('m', 'input', 1, 1, 0), l.conv2d('a', 'm', 8, { kernel: 3 }), l.globalAvgPool('p', 'a'), l.linear('fc', 'p', classes)],
}

function pictures(width: number, height: number): Dataset {
  const images = pseudoRandomBytes(width * height * 3 * count, width * height)
  return { ...fromArrays({ images, labels: Array.from({ length: count }, (_, i) => i % classes), height, width }), imageSize: null }
}

interface Case {
  name: string
  dataset: Dataset
  transform: TransformOptions
  mix?: { mixup?: number; cutmix?: number }
  /** Of the images, those that are to be resized here. */
  onHost?: number
}

function crop(width: number, height: number, size: number, more: Partial<TransformOptions> = {}): TransformOptions {
  return { ...trainTransform(pictures(width, height), { augment: 'paper', size }), ...more }
}

const small = pictures(9, 11)
const cifar: TransformOptions = { ...crop(9, 11, 8), geometry: 'pad_crop', pad: 2, area: [1, 1] }
const photo = pictures(41, 29)

/** Files of several sizes, so that parts of them are decoded. */
const jpegs = customSource({
  labels: Array.from({ length: count }, (_, i) => i % classes),
  get: (i) => {
    const [across, down] = [6 + (i % 5), 5 + (i % 7)]
    return { image: makeJpeg({ across, down, components: 3, levels: pseudoRandomBytes(3 * across * down, i + 1) }) }
  },
})

const cases: Case[] = [
  { name: 'padded crops', dataset: small, transform: cifar },
  { name: 'crops that may miss the picture', dataset: small, transform: { ...cifar, pad: 11 } },
  { name: 'crops that are enlarged', dataset: small, transform: crop(9, 11, 16) },
  { name: 'crops that are reduced, bicubic', dataset: photo, transform: crop(41, 29, 14, { interpolation: 'bicubic' }) },
  { name: 'centre crops of a resized picture', dataset: photo, transform: evalTransform(photo, { resize: 15, crop: 12 }) },
  { name: 'centre crops as they are', dataset: photo, transform: evalTransform(photo, { resize: 0, crop: 12 }) },
  { name: 'centre crops larger than the picture', dataset: small, transform: evalTransform(small, { resize: 0, crop: 14 }) },
  { name: 'resized in one direction only', dataset: pictures(8, 20), transform: evalTransform(small, { resize: 8, crop: 8 }) },
  { name: 'parts of files', dataset: jpegs, transform: crop(41, 29, 32) },
  { name: 'parts of files at a reduced size', dataset: jpegs, transform: crop(41, 29, 12, { dctScale: true, area: [0.3, 1] }) },
  { name: 'effects', dataset: photo, transform: { ...trainTransform(photo, { augment: 'senet', size: 10 }), flip: 0.5 } },
  {
    name: 'effects before padding',
    dataset: small,
    transform: { ...cifar, effects: [{ kind: 'brightness', range: [0.5, 1.5] }] },
  },
  { name: 'pictures many times larger', dataset: pictures(60, 50), transform: evalTransform(photo, { resize: 8, crop: 8 }), onHost: count },
  { name: 'mixup', dataset: photo, transform: crop(41, 29, 14), mix: { mixup: 0.4 } },
  { name: 'cutmix', dataset: photo, transform: crop(41, 29, 14), mix: { cutmix: 1 } },
  { name: 'both, of padded crops', dataset: small, transform: cifar, mix: { mixup: 0.4, cutmix: 1 } },
]

/** Room for parts of 8 times the bytes of the finished images, the most that go up, and their tables. */
function roomFor({ height, width }: TransformOptions): number {
  return 16 * (2 * height * width + 8 * (height + width))
}

interface Run {
  numbers: unknown[]
  onHost: number
}

/** Everything that two epochs of training leave behind. */
async function train(c: Case, layers: Layer[], bytes: number, precision: Precision, shards: number): Promise<Run> {
  const { height, width } = c.transform
  const shardSize = batchSize / shards
  const { tensors } = networkShape(layers, [shardSize, height, width, 3])
  const parameters = tensors.filter(({ kind }) => kind === 'param')
  const plan = new (native().Plan)({
    layers,
    input: { height, width, channels: 3 },
    mode: 'train',
    shardSize,
    shards,
    threads: 1,
    device: emulated,
    imageBytes: bytes,
    precision,
    optimizer: { momentum: 0.9, nesterov: false, gradClip: 0, emaDecay: 0, weightDecay: new Float64Array(parameters.length) },
  })
  const numbers: unknown[] = []
  let onHost = 0
  try {
    const r = random(5)
    for (const info of tensors) plan.write('value', info.name, Float32Array.from(drawTensor(info, r).data))
    for (let epoch = 0; epoch < 2; epoch++) {
      const loader = openLoader(c.dataset, settings(c, epoch), bytes)
      const chunk = await plan.trainSteps(loader, new Float64Array(count / batchSize).fill(0.05), 1e9)
      expect(chunk.steps).to.equal(count / batchSize)
      numbers.push(chunk.loss, chunk.gradNorm, chunk.correct)
      onHost += chunk.resizedOnHost
    }
    for (const { name } of parameters) numbers.push(plan.read('value', name))
    return { numbers, onHost }
  } finally {
    plan.dispose()
  }
}

function settings(c: Case, epoch: number): LoaderSettings {
  return { batchSize, transform: c.transform, seed: 3, epoch, threads: 2, shuffle: true, dropLast: true, ...c.mix }
}

function inference(layers: Layer[], { height, width }: TransformOptions, bytes: number): Plan {
  const plan = new (native().Plan)({
    layers,
    input: { height, width, channels: 3 },
    mode: 'infer',
    shardSize: 5,
    shards: 1,
    threads: 1,
    device: emulated,
    imageBytes: bytes,
  })
  const r = random(5)
  for (const info of networkShape(layers, [5, height, width, 3]).tensors) {
    plan.write('value', info.name, Float32Array.from(drawTensor(info, r).data))
  }
  return plan
}

describe('batches of bytes on cuda-emulated', function () {
  this.timeout(60_000)
  if (!hasEmulatedDevice()) {
    it('the emulated device is not built')
    return
  }

  for (const c of cases) {
    it(`train to the same bits: ${c.name}`, async () => {
      const bytes = roomFor(c.transform)
      for (const [name, precision, shards] of [
        ['rows', 'fp32', 1],
        ['layout', 'fp32', 2],
        ['rows', 'bf16', 2],
        ['layout', 'bf16', 1],
      ] as const) {
        const [of, expected] = [
          await train(c, networks[name]!, bytes, precision, shards),
          await train(c, networks[name]!, 0, precision, shards),
        ]
        expect(of.numbers, `${name}, ${precision}, ${shards} shards`).to.deep.equal(expected.numbers)
        expect(expected.onHost).to.equal(0)
        expect(of.onHost).to.equal(2 * (c.onHost ?? 0))
      }
    })
  }

  it('are evaluated to the same numbers, an incomplete last batch and bad samples included', async () => {
    const transform = evalTransform(photo, { resize: 15, crop: 12 })
    const holed = customSource({
      labels: Array.from({ length: count }, (_, i) => i % classes),
      get: (i) => {
        if (i === 3) throw new Error('not there')
        return { pixels: pseudoRandomBytes(3 * 41 * (20 + i), i + 1), width: 41, height: 20 + i }
      },
    })
    for (const layers of Object.values(networks)) {
      const totals = []
      for (const bytes of [roomFor(transform), imageBytes(transform, emulated), 0]) {
        const plan = inference(layers, transform, bytes)
        const loader = openLoader(
          holed,
          { batchSize: 5, shuffle: false, dropLast: false, onBadSample: 'skip', transform, threads: 2 },
          bytes,
        )
        totals.push(await plan.evaluate(loader))
        plan.dispose()
      }
      expect(totals[0]).to.deep.equal(totals[2])
      expect(totals[1]).to.deep.equal(totals[2])
      expect(totals[0]!.images).to.equal(count - 1)
      expect(totals[0]!.bad).to.have.length(1)
    }
  })

  it('are resized here where they have no room left, to the same bits', async () => {
    const c: Case = { name: 'room', dataset: photo, transform: crop(41, 29, 14, { area: [0.9, 1] }) }
    const least = 592 // 14 x 14 x 3, in whole pieces
    const expected = await train(c, networks['rows']!, 0, 'fp32', 1)
    for (const [bytes, onHost] of [
      [least, 2 * count],
      [16 * least, 0],
    ] as const) {
      const run = await train(c, networks['rows']!, bytes, 'fp32', 1)
      expect(run.numbers).to.deep.equal(expected.numbers)
      expect(run.onHost).to.equal(onHost)
    }
    const some = await train(c, networks['rows']!, 6 * least, 'fp32', 1)
    expect(some.numbers).to.deep.equal(expected.numbers)
    expect(some.onHost).to.be.within(1, 2 * count - 1)
  })

  it('have the bytes of what goes up, and no images', async () => {
    const c = cases[0]!
    const loader = openLoader(c.dataset, settings(c, 0), imageBytes(c.transform, emulated))
    const batch = (await awaitNative(loader.next()))!
    expect(batch.images).to.have.length(0)
    expect(batch.pictures!.resizedOnHost).to.equal(0)
    expect(batch.pictures!.bytes).to.be.within(1, batchSize * 192)
    loader.dispose()
  })

  it('are refused by plans of floats and of the CPU, and floats by plans of bytes', async () => {
    const { dataset, transform } = cases[0]!
    const bytes = imageBytes(transform, emulated)
    const [ofBytes, ofFloats] = [inference(networks['rows']!, transform, bytes), inference(networks['rows']!, transform, 0)]
    const open = (imageBytes: number) => openLoader(dataset, { batchSize: 5, transform, threads: 1 }, imageBytes)
    const failure = async (promise: Promise<unknown>): Promise<string> => promise.then(String, (error: Error) => error.message)
    expect(await failure(ofFloats.evaluate(open(bytes)))).to.match(/reads batches of floats, it was given bytes/)
    expect(await failure(ofBytes.evaluate(open(0)))).to.match(/reads batches of bytes, it was given floats/)
    expect(await failure(ofBytes.infer(new Float32Array(192), 1))).to.match(/reads batches of bytes, it was given floats/)
    expect(() => open(16)).to.throw(/imageBytes must be at least 192/)
    const view = evalTransform(photo, { resize: 15, crop: 12 })
    const narrow = inference(networks['rows']!, view, 432)
    const wide = openLoader(photo, { batchSize: 5, transform: view, threads: 1 }, 8192)
    expect(await failure(narrow.evaluate(wide))).to.match(/the loader's batch has \d+ bytes, the plan takes \d+/)
    expect(() => inference(networks['rows']!, view, 16)).to.throw(/takes at least 432 bytes an image/)
    const cpu = { layers: networks['rows']!, input: { height: 8, width: 8, channels: 3 }, mode: 'infer' as const, shardSize: 1, shards: 1 }
    expect(() => new (native().Plan)({ ...cpu, threads: 1, imageBytes: 192 })).to.throw(/the CPU reads batches of floats/)
    for (const plan of [ofBytes, ofFloats, narrow]) plan.dispose()
  })
})
