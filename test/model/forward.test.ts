import { expect } from 'chai'
import { createModel } from '../../lib/model/registry.js'
import { defineModel } from '../../lib/model/model.js'
import { runNetwork } from '../reference/network.js'
import { tensor } from '../reference/tensor.js'
import type { Model } from '../../lib/model/model.js'
import { rejected } from '../support/thrown.js'

function picture(n: number, size: number): Float32Array {
  return new Float32Array(n * size * size * 3).map((_, i) => Math.sin(i * 0.7) + Math.cos(i * 0.013))
}

/** Weights away from their start, so that norms and attention do something. */
function shaken(model: Model): Model {
  for (const [name, data] of model.weights()) {
    const size = name.endsWith('running_var') ? 0.4 : /fc_/.test(name) ? 1 : 0.1
    data.forEach((v, i) => (data[i] = v + size * Math.sin(i + name.length)))
  }
  return model
}

describe('forward', () => {
  it('gives the logits of the float64 reference, at several sizes and counts', async () => {
    const model = shaken(createModel('sknet_tiny_cifar', { blocks: [1, 1], classes: 7 }))
    const weights = new Map(model.tensors().map(({ name, shape }) => [name, tensor([...shape], model.weights().get(name)!)]))
    for (const [n, size] of [
      [1, 32],
      [3, 32],
      [2, 17],
    ] as const) {
      const x = picture(n, size)
      const { logits, shape } = await model.forward(x, { shape: [n, size, size, 3] })
      expect(shape).to.deep.equal([n, 7])
      const expected = runNetwork(model.spec.layers, tensor([n, size, size, 3], x), weights, false).output.data
      const error = Math.hypot(...logits.map((v, i) => v - expected[i]!)) / Math.hypot(...expected)
      expect(error).to.be.below(1e-5)
    }
    await model[Symbol.asyncDispose]()
  })

  it('sees weights that were set or changed', async () => {
    await using model = shaken(createModel('sknet_tiny_cifar'))
    const ask = async () => (await model.forward(picture(1, 32), { shape: [1, 32, 32, 3] })).logits
    const before = await ask()
    const bias = model.weights().get('fc.bias')![0]!
    model.weights().get('fc.bias')![0]! += 1
    const changed = await ask()
    expect(changed[0]! - before[0]!).to.be.closeTo(1, 1e-5)
    expect(changed.slice(1)).to.deep.equal(before.slice(1))
    model.setWeights(new Map([['fc.bias', new Float32Array(10).fill(2)]]), { strict: false })
    expect((await ask())[0]! - before[0]!).to.be.closeTo(2 - bias, 1e-5)
  })

  it('runs calls made at once one after the other, on any number of threads', async () => {
    await using model = shaken(createModel('sknet_tiny_cifar'))
    const x = picture(40, 32)
    const all = await Promise.all([1, 2].map((threads) => model.forward(x, { shape: [40, 32, 32, 3], threads })))
    expect(all[0]!.logits).to.deep.equal(all[1]!.logits)
    const last = await model.forward(x.subarray(39 * 3072), { shape: [1, 32, 32, 3] })
    last.logits.forEach((v, i) => expect(v).to.be.closeTo(all[0]!.logits[390 + i]!, 1e-4))
  })

  it('refuses what does not fit', async () => {
    await using model = createModel('sknet_tiny_cifar')
    const x = picture(1, 32)
    const bad: [unknown, unknown, string, string][] = [
      [x, { shape: [1, 32, 32] }, 'ERR_SKNET_OPTION', 'shape'],
      [x, { shape: [1, 32, 32, 1] }, 'ERR_SKNET_OPTION', 'shape[3]'],
      [x, { shape: [0, 32, 32, 3] }, 'ERR_SKNET_OPTION', 'shape[0]'],
      [x, { shape: [2, 32, 32, 3] }, 'ERR_SKNET_OPTION', 'x'],
      [[...x], { shape: [1, 32, 32, 3] }, 'ERR_SKNET_OPTION', 'x'],
      [x, { shape: [1, 32, 32, 3], threads: 0 }, 'ERR_SKNET_OPTION', 'threads'],
      [x, { shape: [1, 32, 32, 3], device: 'gpu' }, 'ERR_SKNET_OPTION', 'device'],
      [x, { shape: [1, 32, 32, 3], device: 'cuda:99' }, 'ERR_SKNET_DEVICE', 'device'],
      [x, { shape: [1, 32, 32, 3], divice: 'cpu' }, 'ERR_SKNET_OPTION', 'divice'],
    ]
    for (const [images, options, code, option] of bad) {
      const error = await rejected(() => model.forward(images as Float32Array, options as Parameters<Model['forward']>[1]))
      expect(error, JSON.stringify(options)).to.include({ code, option })
    }
    expect(
      (await rejected(() => model.forward(new Float32Array(3), { shape: [1, 1, 1, 3] }).then(() => model.setWeights(new Map())))).code,
    ).to.equal('ERR_SKNET_WEIGHTS')
  })

  it('refuses to run once disposed', async () => {
    const model = createModel('sknet_tiny_cifar')
    await model.forward(picture(1, 32), { shape: [1, 32, 32, 3] })
    model.dispose()
    model.dispose()
    const error = await rejected(() => model.forward(picture(1, 32), { shape: [1, 32, 32, 3] }))
    expect(error.code).to.equal('ERR_SKNET_DISPOSED')
    expect(model.weights().size).to.equal(model.tensors().length)
  })

  it('runs a spec of one’s own', async () => {
    const conv = {
      op: 'conv2d',
      name: 'c',
      inputs: ['input'],
      out: 2,
      kernel: 1,
      stride: 1,
      padding: 0,
      dilation: 1,
      groups: 1,
      bias: true,
    } as const
    const layers = [conv, { op: 'global_avg_pool', name: 'p', inputs: ['c'] } as const]
    const spec = {
      format: 'sknet-model-1',
      arch: 'mine',
      classes: 2,
      input: { channels: 1, size: 2 },
      layers: layers.map((x) => ({ ...x, inputs: [...x.inputs] })),
    } as const
    await using model = defineModel({ ...spec, layers: [...spec.layers], init: { 'c.bias': { kind: 'constant', value: 0.5 } } })
    model.setWeights(new Map([['c.weight', Float32Array.of(1, -2)]]), { strict: false })
    const { logits } = await model.forward(Float32Array.of(1, 2, 3, 4), { shape: [1, 2, 2, 1] })
    expect([...logits]).to.deep.equal([3, -4.5])
  })
})
