// One training step of each family of networks against PyTorch's float64 (make-families.py), every instruction set, fp32. The images were
// chosen so that no ReLU and no max-pool is near a kink.
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import type { Isa, Plan } from '../../binding.js'
import { createModel, type CreateOptions } from '../../lib/model/registry.js'
import { native } from '../../lib/native.js'
import { trainStep } from '../reference/train.js'
import { tensor, zeros, type Tensor } from '../reference/tensor.js'
import { assertClose, norm } from '../support/compare.js'
import { fillInput, fillTensor } from '../support/fill.js'
import { goldenFile, readGolden, toNhwc, withoutPrefix } from '../support/golden.js'
import { supportedIsas } from '../support/run-layers.js'
import { plainSettings } from '../support/train-case.js'

interface FamilyCase {
  name: string
  arch: string
  options: CreateOptions
  /** [n, c, h, w] */
  input: [number, number, number, number]
  /** Name of the images, for the fill rule. */
  x: string
  params: number
  loss: number
}

/** Whole networks in evaluation mode, at a small size: what decides whether published weights fit. */
interface FullCase {
  arch: string
  input: [number, number, number, number]
  x: string
  params: number
  /** Of each image. */
  first8: number[][]
  norms: number[]
  /** Names and shapes, in the file's order. */
  tensors: Record<string, number[]>
}

const { cases, full } = JSON.parse(readFileSync(new URL('families.json', import.meta.url), 'utf8')) as {
  cases: FamilyCase[]
  full: FullCase[]
}

const lossLimit = 1e-5
/** Those of the golden blocks: behind an attention's batch norm over the batch PyTorch's own float32 is no closer. */
const gradientLimit = (name: string) => (name.includes('attn.') ? 3e-4 : 1e-4)

const imagesOf = (c: FamilyCase) => toNhwc(tensor(c.input, fillInput(c.x, c.input)))
const labelsOf = (c: FamilyCase) => Int32Array.from({ length: c.input[0] }, (_, i) => (3 * i) % 10)

function planOf(c: FamilyCase, isa: Isa): Plan {
  const { layers } = createModel(c.arch, c.options).spec
  const [shardSize, channels, height, width] = c.input
  const setup = { layers, input: { height, width, channels }, shardSize, shards: 1, threads: 2, isa }
  const parameters = createModel(c.arch, c.options).tensors().filter(({ kind }) => kind === 'param')
  const optimizer = { momentum: 0, nesterov: false, gradClip: 0, emaDecay: 0, weightDecay: new Float64Array(parameters.length) }
  const plan = new (native().Plan)({ ...setup, mode: 'train', optimizer })
  for (const { name, shape } of plan.tensors()) plan.write('value', name, fillTensor(name, shape))
  return plan
}

/** Gradients smaller than this share of the largest are sums of terms that nearly cancel. */
const floorOf = (gradients: ReadonlyMap<string, Tensor>) => 1e-3 * Math.max(...[...gradients.values()].map((g) => norm(g.data)))

describe('golden families: a training step', () => {
  for (const c of cases) {
    const stored = () => readGolden(goldenFile(`families/${c.name}.safetensors`)!)

    it(`${c.name}: names and shapes are those of the stored step`, () => {
      const own = createModel(c.arch, c.options)
      expect(own.params).to.equal(c.params)
      const of = (kind: string) => own.tensors().filter((t) => t.kind === kind)
      const shapes = (tensors: Iterable<[string, Tensor]>) => Object.fromEntries([...tensors].map(([name, t]) => [name, t.shape]))
      expect(Object.fromEntries(of('param').map((t) => [t.name, t.shape]))).to.deep.equal(shapes(withoutPrefix(stored(), 'grad.')))
      expect(Object.fromEntries(of('buffer').map((t) => [t.name, t.shape]))).to.deep.equal(shapes(withoutPrefix(stored(), 'after.')))
    })

    it(`${c.name}: the float64 reference`, () => {
      const model = createModel(c.arch, c.options)
      const tensors = new Map(model.tensors().map(({ name, shape }) => [name, tensor(shape, fillTensor(name, shape))]))
      const momentum = new Map([...tensors].map(([name, t]) => [name, zeros(t.shape)]))
      const step = trainStep(model.spec.layers, { tensors, momentum }, imagesOf(c), labelsOf(c), c.input[0], { ...plainSettings, lr: 0 })
      assertClose('loss', [step.loss], [c.loss], 1e-10)
      const expected = withoutPrefix(stored(), 'grad.')
      // What was stored was rounded to float32.
      for (const [name, g] of expected) assertClose(name, step.gradients.get(name)!.data, g.data, 2e-7, floorOf(expected))
    })

    for (const isa of supportedIsas()) {
      it(`${c.name}: loss, gradients, running statistics, ${isa}`, async () => {
        const plan = planOf(c, isa)
        try {
          const chunk = await plan.trainBatch(Float32Array.from(imagesOf(c).data), labelsOf(c), 0)
          assertClose('loss', chunk.loss, [c.loss], lossLimit)
          const expected = withoutPrefix(stored(), 'grad.')
          const floor = floorOf(expected)
          for (const [name, g] of expected) assertClose(name, plan.read('gradient', name), g.data, gradientLimit(name), floor)
          for (const [name, t] of withoutPrefix(stored(), 'after.')) assertClose(name, plan.read('value', name), t.data, 1e-5)
        } finally {
          plan.dispose()
        }
      })
    }
  }
})

describe('golden families: whole networks', () => {
  for (const c of full) {
    it(`${c.arch}: names, shapes, order, parameters`, () => {
      const model = createModel(c.arch)
      expect(model.params).to.equal(c.params)
      expect(model.tensors().map(({ name, shape }) => [name, shape])).to.deep.equal(Object.entries(c.tensors))
    })

    it(`${c.arch}: logits`, async () => {
      await using model = createModel(c.arch)
      model.setWeights(new Map(model.tensors().map(({ name, shape }) => [name, fillTensor(name, shape)])))
      const [n, channels, height, width] = c.input
      const x = Float32Array.from(toNhwc(tensor(c.input, fillInput(c.x, c.input))).data)
      const { logits, shape } = await model.forward(x, { shape: [n, height, width, channels] })
      for (let i = 0; i < n; i++) {
        const row = logits.subarray(i * shape[1], (i + 1) * shape[1])
        assertClose('norm', [norm(row)], [c.norms[i]!], 1e-5)
        assertClose('first logits', row.subarray(0, 8), c.first8[i]!, 1e-5, c.norms[i]! / Math.sqrt(shape[1] / 8))
      }
    })
  }
})
