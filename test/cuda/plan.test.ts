/** The executor of CUDA on the emulated device: the same numbers as the reference, recorded or not, one step at a time or several. */
import { expect } from 'chai'
import { native, type TransformOptions } from '../../lib/native.js'
import type { Layer } from '../../lib/model/spec.js'
import { assertClose, tolerance } from '../support/compare.js'
import { hasEmulatedDevice } from '../support/devices.js'
import { drawCase, type LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { compareBlock, runBlock } from '../support/run-layers.js'
import { identity, inOrder } from '../support/transforms.js'
import {
  compareTraining,
  drawTraining,
  fullSettings,
  hashOf,
  plainSettings,
  trainNative,
  trainReference,
  type TrainCase,
} from '../support/train-case.js'

const device = 'cuda-emulated'

/** Down to one pixel by convolutions alone. */
function convolutions(classes: number): Layer[] {
  return [
    l.conv2d('a', 'input', 8, { kernel: 3, padding: 1, stride: 2, bias: true }),
    l.conv2d('b', 'a', 12, { kernel: 3, padding: 2, dilation: 2, groups: 4 }),
    l.conv2d('c', 'b', 10, { kernel: 4 }),
    l.linear('fc', 'c', classes),
  ]
}

const blocks: LayerCase[] = [
  {
    name: 'dense, strided, biased',
    layers: [l.conv2d('a', 'input', 10, { kernel: 3, padding: 1, stride: 2, bias: true })],
    input: [2, 7, 6, 5],
  },
  {
    name: 'grouped and dilated',
    layers: [l.conv2d('a', 'input', 12, { kernel: 3, padding: 2, dilation: 2, groups: 4 })],
    input: [2, 6, 5, 8],
  },
  { name: 'a chain', layers: convolutions(5), input: [3, 7, 8, 3] },
]

function training(shards: number): TrainCase {
  return {
    name: `${shards} shards on a device`,
    layers: convolutions(5),
    input: [7, 8, 3],
    classes: 5,
    shardSize: 4,
    shards,
    settings: fullSettings,
  }
}

describe('plans on cuda-emulated', function () {
  if (!hasEmulatedDevice()) {
    it('the emulated device is not built')
    return
  }

  for (const c of blocks) {
    it(`block: ${c.name}`, () => {
      const drawn = drawCase(c)
      compareBlock(device, c, drawn, runBlock(c, drawn, { device }))
      compareBlock(`${device}, not fused`, c, drawn, runBlock(c, drawn, { device, fuse: false }))
    })
  }

  for (const shards of [1, 3]) {
    it(`trains as the reference does, ${shards} shards`, async () => {
      const c = training(shards)
      const drawn = drawTraining(c, 3)
      compareTraining(device, await trainNative(c, drawn, { device }), trainReference(c, drawn), tolerance(64, 20))
    })
  }

  it('trains as the reference does, with LARS, rates a tensor and a frozen bias', async () => {
    const c = training(1)
    const lrScale = (name: string) => (name === 'a.bias' ? 0 : name === 'fc.weight' ? 3 : 1)
    const lars = { ...c, name: 'LARS on a device', settings: { ...c.settings, lrScale, trust: 0.02 } }
    const drawn = drawTraining(lars, 3)
    compareTraining(device, await trainNative(lars, drawn, { device }), trainReference(lars, drawn), tolerance(64, 20))
  })

  it('trains to the same bits from a recorded step and without recording', async () => {
    const c = training(2)
    const drawn = drawTraining(c, 3)
    const recorded = hashOf(await trainNative(c, drawn, { device }))
    process.env.SKNET_CUDA_GRAPHS = '0'
    try {
      expect(hashOf(await trainNative(c, drawn, { device }))).to.equal(recorded)
    } finally {
      delete process.env.SKNET_CUDA_GRAPHS
    }
  })

  it('trains in bfloat16 close to float32', async () => {
    const c = training(2)
    const drawn = drawTraining(c, 2)
    const [fp32, bf16] = [await trainNative(c, drawn, { device }), await trainNative(c, drawn, { device, precision: 'bf16' })]
    for (const [i, loss] of bf16.loss.entries()) expect(loss).to.be.closeTo(fp32.loss[i]!, 2e-2)
  })

  it('reads back what was written, takes copies from a plan of the CPU, and infers in pieces', async () => {
    const c = blocks[2]!
    const drawn = drawCase(c)
    const [, height, width, channels] = c.input
    const options = { layers: c.layers, input: { height, width, channels }, shards: 1, threads: 1, mode: 'infer' as const, shardSize: 2 }
    const onDevice = new (native().Plan)({ ...options, device })
    const onHost = new (native().Plan)(options)
    try {
      for (const [name, t] of drawn.tensors) onHost.write('value', name, Float32Array.from(t.data))
      onDevice.copyFrom(onHost, 'value')
      for (const { name } of onHost.tensors()) expect(onDevice.read('value', name)).to.deep.equal(onHost.read('value', name))
      // In pieces of two images; without batch norms training and inference are the same.
      assertClose('y', await onDevice.infer(Float32Array.from(drawn.x.data), 3), drawn.run.output.data, tolerance(64))
      expect(onDevice.device()).to.equal(device)
      expect(onDevice.memory().total).to.be.greaterThan(0)
    } finally {
      onDevice.dispose()
      onHost.dispose()
    }
  })

  for (const [perLaunch, shards] of [
    [1, 1],
    [3, 1],
    [3, 2],
  ] as const) {
    describe(`several steps under way, ${perLaunch} a launch, of ${shards} shards`, () => {
      const steps = 7
      const batchSize = 4
      // Launches are filled while two others are under way; one step a launch, while the next is made ready.
      const depth = perLaunch === 1 ? 3 : 2 * perLaunch

      before(() => {
        process.env.SKNET_CUDA_STEPS_PER_LAUNCH = String(perLaunch)
      })
      after(() => {
        delete process.env.SKNET_CUDA_STEPS_PER_LAUNCH
      })
      const shape = { height: 7, width: 8, channels: 3 }
      const optimizer = { momentum: 0.9, nesterov: false, gradClip: 0, emaDecay: 0 }
      const layers = convolutions(5)
      const drawn = drawTraining({ ...training(1), settings: plainSettings }, 1)

      function open() {
        const parameters = new Float64Array(drawn.parameters.length)
        const plan = new (native().Plan)({
          layers,
          input: shape,
          mode: 'train',
          shardSize: batchSize / shards,
          shards,
          threads: 1,
          device,
          optimizer: { ...optimizer, weightDecay: parameters },
        })
        for (const [name, t] of drawn.tensors) plan.write('value', name, Float32Array.from(t.data))
        return plan
      }

      function batches() {
        const count = steps * batchSize
        const images = Uint8Array.from({ length: count * 7 * 8 * 3 }, (_, i) => (i * 7919) % 256)
        const labels = Int32Array.from({ length: count }, (_, i) => i % 5)
        const source = new (native().Source)({ kind: 'memory', images, labels, height: 7, width: 8 })
        const transform = { ...identity, height: 7, width: 8, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] } satisfies TransformOptions
        return new (native().Loader)(source, { ...inOrder, batchSize, transform })
      }

      const weights = (plan: ReturnType<typeof open>) => drawn.parameters.map((name) => plan.read('value', name))

      it('are as many as asked for, which the plan says', () => {
        const plan = open()
        const notes = plan.steps().filter(({ phase }) => phase === 'update')
        for (const { note } of notes) expect(note).to.equal(perLaunch === 1 ? '' : `${perLaunch} steps a launch`)
        plan.dispose()
      })

      it('end where the same steps one by one do', async () => {
        const [many, single] = [open(), open()]
        const lrs = Float64Array.from({ length: steps }, (_, i) => 0.01 * (i + 1))
        const chunk = await many.trainSteps(batches(), lrs, 1e9)
        expect(chunk).to.include({ steps, voided: 0, nonFinite: null, endOfEpoch: true })
        const loader = batches()
        for (let i = 0; i < steps; i++) {
          const { images, labels } = (await loader.next())!
          const { loss, gradNorm } = await single.trainBatch(images, labels, lrs[i]!)
          expect(loss[0], `loss of step ${i}`).to.equal(chunk.loss[i])
          expect(gradNorm[0], `norm of step ${i}`).to.equal(chunk.gradNorm[i])
        }
        expect(weights(many)).to.deep.equal(weights(single))
        // Of the steps of a launch each took its share.
        for (const i of [1, 2]) if (perLaunch === 3) expect(chunk.seconds[i]).to.be.at.least(chunk.seconds[0]!)
        many.dispose()
        single.dispose()
      })

      it('change nothing behind one that is not finite, and go on afterwards', async () => {
        const [broken, whole] = [open(), open()]
        // The second step's rate throws the weights out of range; the third finds out, and those behind it are under way by then.
        const lrs = Float64Array.of(0.01, 1e30, 0.01, 0.01, 0.01, 0.01)
        const chunk = await broken.trainSteps(batches(), lrs, 1e9)
        expect(chunk.steps).to.equal(2)
        expect(chunk.nonFinite).to.not.equal(null)
        expect(chunk.nonFinite!.indices).to.deep.equal(Int32Array.of(8, 9, 10, 11))
        expect(chunk.voided).to.equal(Math.min(depth - 1, lrs.length - 3))
        await whole.trainSteps(batches(), lrs.slice(0, 2), 1e9)
        expect(weights(broken)).to.deep.equal(weights(whole))
        for (const [name, t] of drawn.tensors) {
          broken.write('value', name, Float32Array.from(t.data))
          broken.write('momentum', name, new Float32Array(t.data.length))
        }
        expect((await broken.trainSteps(batches(), Float64Array.of(0.01), 1e9)).steps).to.equal(1)
        broken.dispose()
        whole.dispose()
      })
    })
  }

  it('a number of steps a launch that is none is refused', async () => {
    process.env.SKNET_CUDA_STEPS_PER_LAUNCH = '17'
    try {
      const c = training(1)
      let said = ''
      await trainNative(c, drawTraining(c, 1), { device }).catch((error: unknown) => {
        said = (error as Error).message
      })
      expect(said).to.equal("SKNET_CUDA_STEPS_PER_LAUNCH: expected a number from 1 to 16, got '17'")
    } finally {
      delete process.env.SKNET_CUDA_STEPS_PER_LAUNCH
    }
  })
})
