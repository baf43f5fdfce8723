import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SknetError } from '../../lib/errors.js'
import { defineModel } from '../../lib/model/model.js'
import type { Model } from '../../lib/model/model.js'
import type { OnnxOptions } from '../../lib/model/onnx/export.js'
import { createModel, listModels } from '../../lib/model/registry.js'
import type { CreateOptions } from '../../lib/model/registry.js'
import type { Layer } from '../../lib/model/spec.js'
import { packageVersion } from '../../lib/version.js'
import { assertClose } from '../support/compare.js'
import { fillInput, fillTensor } from '../support/fill.js'
import { onnxRuntime } from '../support/onnxruntime.js'
import { readOnnx } from '../support/read-onnx.js'
import { runOnnx } from '../support/run-onnx.js'
import { temporaryFolder } from '../support/temp.js'
import { mixedNetwork } from '../support/tiny-networks.js'
import * as l from '../support/layers.js'
import { rejected } from '../support/thrown.js'

function filled(model: Model): Model {
  model.setWeights(new Map(model.tensors().map(({ name, shape }) => [name, fillTensor(name, shape)])))
  return model
}

function own(layers: Layer[], classes: number, size = 16): Model {
  return filled(defineModel({ format: 'sknet-model-1', arch: 'own', classes, input: { channels: 3, size }, layers }))
}

/** A network with the first of these options that it takes and that fit it. */
function variant(name: string, choices: CreateOptions[]): Model {
  for (const options of choices) {
    try {
      return createModel(name, { seed: 1, ...options })
    } catch (error) {
      if (!(error instanceof SknetError)) throw error
    }
  }
  return createModel(name, { seed: 1 })
}

/** Of fewer blocks, where it takes that: every kind of layer is still there. */
function shortened(name: string): Model {
  return variant(name, [{ blocks: createModel(name).spec.input.size > 64 ? [1, 1, 1, 1] : [1, 1] }])
}

/** The same images as NHWC for us and NCHW for ONNX. */
function images(n: number, height: number, width: number): { nhwc: Float32Array; nchw: Float32Array } {
  const nhwc = fillInput('images', [n, height, width, 3])
  const nchw = new Float32Array(nhwc.length)
  const plane = height * width
  for (let i = 0; i < nhwc.length; i++) {
    const [image, pixel, channel] = [Math.floor(i / (3 * plane)), Math.floor(i / 3) % plane, i % 3]
    nchw[(image * 3 + channel) * plane + pixel] = nhwc[i]!
  }
  return { nhwc, nchw }
}

describe('ONNX export', function () {
  this.timeout(180_000)
  const folder = temporaryFolder()
  const path = () => join(folder(), 'm.onnx')

  const networks: [string, () => Model][] = [
    ['one of everything', () => own(mixedNetwork(5), 5)],
    [
      'three branches of real kernels',
      () => small('sknet_tiny_cifar', { branches: [{}, { kernel: 5, groups: 4 }, { kernel: 7, groups: 2 }] }),
    ],
    ['a plain sum', () => small('sknet_tiny_cifar', { attention: false })],
    ['one branch with attention', () => small('sknet_tiny_cifar', { branches: 1 })],
    ['squeeze and excitation', () => small('senet29_cifar', { midWidth: 16, outWidth: 32, groups: 4 })],
    ['channels split, joined and shuffled, a pool that rounds up', () => own(shuffled(), 5, 14)],
    ['a last layer that is not linear', () => own([l.globalAvgPool('p', 'input'), l.conv2d('logits', 'p', 4, { bias: true })], 4)],
    ['a batch norm whose convolution is read twice', () => own(readTwice(), 8)],
  ]
  function small(name: string, options: CreateOptions): Model {
    return filled(createModel(name, { blocks: [1, 1], stemWidth: 8, midWidth: 8, outWidth: 16, groups: 4, classes: 6, ...options }))
  }
  function shuffled(): Layer[] {
    return [
      { ...l.maxPool('pool', 'input', 3, 2, 0), ceil: true },
      l.conv2d('a', 'pool', 12),
      { op: 'channel_slice', name: 'left', inputs: ['a'], first: 0, out: 4 },
      { op: 'channel_slice', name: 'right', inputs: ['a'], first: 4, out: 8 },
      { ...l.skUnit('sk', 'right', 6, l.dilatedBranches(2, 2), 4), splitInput: true },
      l.relu('act', 'sk'),
      { op: 'concat', name: 'both', inputs: ['left', 'act'] },
      { op: 'channel_shuffle', name: 'mixed', inputs: ['both'], groups: 2 },
      l.conv2d('b', 'mixed', 10, { kernel: 3, padding: 1, groups: 5 }),
      l.globalAvgPool('mean', 'b'),
      l.linear('fc', 'mean', 5),
    ]
  }
  function readTwice(): Layer[] {
    const norms = [l.batchNorm('n', 'c'), l.batchNorm('m', 'n')]
    return [l.conv2d('c', 'input', 8), ...norms, l.add('a', 'c', 'm'), l.globalAvgPool('p', 'a'), l.linear('fc', 'p', 8, false)]
  }
  for (const [what, make] of networks) {
    for (const foldBatchNorm of [true, false]) {
      it(`of ${what} means what the network does, batch norm ${foldBatchNorm ? 'folded' : 'kept'}`, async () => {
        const model = make()
        const { size } = model.spec.input
        await model.exportOnnx(path(), { foldBatchNorm })
        const { nhwc, nchw } = images(2, size, size)
        const file = readOnnx(path())
        const { dims, data } = runOnnx(file, { dims: [2, 3, size, size], data: Float64Array.from(nchw) })
        expect(dims).to.deep.equal([2, model.spec.classes])
        const { logits } = await model.forward(nhwc, { shape: [2, size, size, 3] })
        // Ours are float32 sums of up to a few hundred products a layer; folded weights were rounded once more.
        assertClose('logits', logits, data, 1e-5)
        const norms = file.nodes.filter(({ op }) => op === 'BatchNormalization').length
        if (!foldBatchNorm || what.startsWith('a batch norm')) expect(norms === 0).to.equal(what.startsWith('a last layer'))
        else expect(norms).to.equal(0)
        model.dispose()
      })
    }
  }

  it('says what it is, and of what', async () => {
    const model = createModel('sknet_tiny_cifar', { classes: 3 })
    model.classNames = ['cat', 'dog', 'ä "b"']
    const report = await model.exportOnnx(path())
    const file = readOnnx(path())
    expect(report).to.include({ path: path(), opset: 17, batch: 'dynamic', nodes: file.nodes.length, bytes: readFileSync(path()).length })
    expect(report.sha256).to.match(/^[0-9a-f]{64}$/)
    expect(file).to.include({ irVersion: 8, opset: 17, producer: 'sknet' })
    expect(file.inputs).to.deep.equal([{ name: 'input', dims: ['batch', 3, 32, 32] }])
    expect(file.outputs).to.deep.equal([{ name: 'logits', dims: ['batch', 3] }])
    expect(file.metadata).to.include({ 'sknet.version': packageVersion(), 'sknet.arch': 'sknet_tiny_cifar' })
    expect(JSON.parse(file.metadata['sknet.labels']!)).to.deep.equal(model.classNames)
    expect(JSON.parse(file.metadata['sknet.preprocessing']!)).to.deep.equal(model.preprocessing)
    const first = readFileSync(path())
    await model.exportOnnx(path())
    expect(readFileSync(path()).equals(first), 'the same bytes again').to.equal(true)
  })

  const shapes: [OnnxOptions, (number | string)[], number][] = [
    [{ batch: 7, size: 48 }, [7, 3, 48, 48], 8],
    [{ size: { height: 40, width: 56 }, opset: 19 }, ['batch', 3, 40, 56], 9],
    [{ batch: 'dynamic', size: 'dynamic', opset: 21 }, ['batch', 3, 'height', 'width'], 10],
  ]
  for (const [options, dims, irVersion] of shapes) {
    it(`takes ${JSON.stringify(options)}`, async () => {
      await createModel('sknet_tiny_cifar').exportOnnx(path(), options)
      const file = readOnnx(path())
      expect(file.inputs[0]!.dims).to.deep.equal(dims)
      expect(file.outputs[0]!.dims).to.deep.equal([dims[0], 10])
      expect(file).to.include({ irVersion, opset: options.opset ?? 17 })
    })
  }

  for (const name of listModels()) {
    it(`of ${name} is a graph in order: each value is written once, before it is read`, async () => {
      await variant(name, [{ blocks: [1, 1], midWidth: 64, outWidth: 64 }, { blocks: [1, 1] }]).exportOnnx(path())
      const file = readOnnx(path())
      const known = new Set(['input', ...file.tensors.keys()])
      expect(known.size).to.equal(file.tensors.size + 1)
      for (const { name: node, inputs, outputs } of file.nodes) {
        for (const input of inputs) expect(known.has(input), `${node} reads ${input}`).to.equal(true)
        for (const output of outputs) {
          expect(known.has(output), `${node} writes ${output} again`).to.equal(false)
          known.add(output)
        }
      }
      const nodeNames = file.nodes.map(({ name: node }) => node)
      expect(new Set(nodeNames).size).to.equal(nodeNames.length)
      expect(known.has('logits')).to.equal(true)
      const numbers = (dims: readonly number[]) => dims.reduce((product, side) => product * side, 1)
      for (const [tensor, { dims, data }] of file.tensors) expect(data.length, tensor).to.equal(numbers(dims))
    })
  }

  const bad: [Record<string, unknown>, string, string][] = [
    [{ opset: 16 }, 'ERR_SKNET_OPTION', 'opset'],
    [{ opset: '17' }, 'ERR_SKNET_OPTION', 'opset'],
    [{ batch: 0 }, 'ERR_SKNET_OPTION', 'batch'],
    [{ batch: 'any' }, 'ERR_SKNET_OPTION', 'batch'],
    [{ size: 'any' }, 'ERR_SKNET_OPTION', 'size'],
    [{ size: { height: 32 } }, 'ERR_SKNET_OPTION', 'size.width'],
    [{ foldBatchNorm: 1 }, 'ERR_SKNET_OPTION', 'foldBatchNorm'],
    [{ fold: true }, 'ERR_SKNET_OPTION', 'fold'],
  ]
  for (const [options, code, option] of bad) {
    it(`refuses ${JSON.stringify(options)}`, async () => {
      const error = await rejected(() => createModel('sknet_tiny_cifar').exportOnnx(path(), options))
      expect(error).to.include({ code, option })
    })
  }

  it('refuses a place that cannot be written', async () => {
    const error = await rejected(() => createModel('sknet_tiny_cifar').exportOnnx(join(folder(), 'none', 'm.onnx')))
    expect(error.code).to.equal('ERR_SKNET_CHECKPOINT_IO')
  })

  describe('in ONNX Runtime (SKNET_ONNXRUNTIME)', () => {
    const runtime = onnxRuntime()

    it('own layers: our logits at a free size', async function () {
      if (runtime === null) return this.skip()
      for (const model of [own(shuffled(), 5, 14), own(mixedNetwork(5), 5)]) {
        await model.exportOnnx(path(), { size: 'dynamic' })
        const session = await runtime.InferenceSession.create(path())
        for (const [n, height, width] of [
          [1, 14, 16],
          [3, 17, 12],
        ] as const) {
          const { nhwc, nchw } = images(n, height, width)
          const { logits: theirs } = await session.run({ input: new runtime.Tensor('float32', nchw, [n, 3, height, width]) })
          assertClose(`${height}x${width}`, theirs!.data, (await model.forward(nhwc, { shape: [n, height, width, 3] })).logits, 1e-5)
        }
        model.dispose()
      }
    })

    for (const name of listModels()) {
      const imagenet = createModel(name).spec.input.size > 64
      const [height, width] = imagenet ? [96, 64] : [32, 32]

      it(`${name}: our logits, batch 1 and 7`, async function () {
        if (runtime === null) return this.skip()
        const model = filled(shortened(name))
        for (const batch of ['dynamic', 1, 7] as const) {
          await model.exportOnnx(path(), { batch, size: { height, width }, foldBatchNorm: batch !== 1, opset: batch === 7 ? 21 : 17 })
          const session = await runtime.InferenceSession.create(path())
          for (const n of batch === 'dynamic' ? [1, 7] : [batch]) {
            const { nhwc, nchw } = images(n, height, width)
            const { logits: theirs } = await session.run({ input: new runtime.Tensor('float32', nchw, [n, 3, height, width]) })
            const { logits } = await model.forward(nhwc, { shape: [n, height, width, 3] })
            expect(theirs!.dims).to.deep.equal([n, model.spec.classes])
            assertClose(`batch ${n}`, theirs!.data, logits, 1e-5)
          }
        }
        model.dispose()
      })
    }
  })
})
