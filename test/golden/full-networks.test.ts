// Whole networks by timm's names, weights by the fill rule: logits against PyTorch's float64.
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { native } from '../../lib/native.js'
import { createModel } from '../../lib/model/registry.js'
import type { Layer } from '../../lib/model/spec.js'
import type { Isa } from '../../binding.js'
import { networkShape } from '../reference/layer-tensors.js'
import { tensor } from '../reference/tensor.js'
import { assertClose, norm } from '../support/compare.js'
import { fillInput, fillTensor } from '../support/fill.js'
import { goldenCases, goldenFile, readGolden, toNhwc, type FullCase } from '../support/golden.js'
import { supportedIsas } from '../support/run-layers.js'

const limit = 3e-5

async function logitsOf(c: FullCase, layers: Layer[], isa: Isa): Promise<Float32Array> {
  const [n, channels, height, width] = c.input
  const plan = new (native().Plan)({ layers, input: { height, width, channels }, mode: 'infer', shardSize: n, shards: 1, threads: 2, isa })
  try {
    for (const { name, shape } of plan.tensors()) plan.write('value', name, fillTensor(name, shape))
    return await plan.infer(Float32Array.from(toNhwc(tensor(c.input, fillInput(c.x, c.input))).data), n)
  } finally {
    plan.dispose()
  }
}

describe('golden full networks', () => {
  for (const c of goldenCases('full')) {
    const layersOf = () => createModel(c.timm).spec.layers

    it(`${c.timm}: parameters`, () => {
      const { tensors } = networkShape(layersOf(), [1, 224, 224, 3])
      const parameters = tensors.filter((t) => t.kind === 'param')
      expect(parameters.reduce((sum, t) => sum + t.shape.reduce((a, b) => a * b, 1), 0)).to.equal(c.params)
    })

    for (const isa of supportedIsas()) {
      it(`${c.timm}: logits, ${isa}`, async () => {
        const logits = await logitsOf(c, layersOf(), isa)
        const classes = logits.length / c.input[0]
        const rows = Array.from({ length: c.input[0] }, (_, b) => logits.subarray(b * classes, (b + 1) * classes))
        rows.forEach((row, b) => {
          assertClose('norm', [norm(row)], [c.logits_norm[b]!], limit)
          assertClose('first logits', row.subarray(0, 8), c.logits_first8[b]!, limit, c.logits_norm[b]! / Math.sqrt(classes / 8))
          expect(row.indexOf(Math.max(...row))).to.equal(c.argmax[b])
        })
        const all = goldenFile(`${c.timm}_logits.safetensors`)
        if (all) assertClose('all logits', logits, readGolden(all).get('logits')!.data, limit)
      })
    }
  }

  it('skresnext50_32x4d has exactly the stored names and shapes', () => {
    const stored = JSON.parse(readFileSync(goldenFile('skresnext50_32x4d_names.json')!, 'utf8')) as Record<string, number[]>
    const { tensors } = networkShape(createModel('skresnext50_32x4d').spec.layers, [1, 224, 224, 3])
    expect(Object.fromEntries(tensors.map((t) => [t.name, t.shape]))).to.deep.equal(stored)
  })
})
