import { expect } from 'chai'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readCaffeFile } from '../../lib/checkpoint/caffe-file.js'
import { loadModel } from '../../lib/model/load.js'
import { defineModel } from '../../lib/model/model.js'
import type { Model } from '../../lib/model/model.js'
import { namesInStyle } from '../../lib/model/names.js'
import { createModel } from '../../lib/model/registry.js'
import type { Layer } from '../../lib/model/spec.js'
import { fillTensor } from '../support/fill.js'
import { caffeModel } from '../support/make-caffe.js'
import type { CaffeBlob, CaffeLayer } from '../support/make-caffe.js'
import { temporaryFolder } from '../support/temp.js'
import { rejected } from '../support/thrown.js'

const blob = (shape: number[], first = 1): CaffeBlob => {
  const size = shape.reduce((product, side) => product * side, 1)
  return { shape, data: Float32Array.from({ length: size }, (_, i) => first + i) }
}
const pool: CaffeLayer = { name: 'pool1/3x3_s2', type: 'Pooling', pooling: { 1: 0, 2: 3, 3: 2 } }

/** The layers of a network as the authors' prototxt has them: batch norm of four blobs, or BatchNorm with a factor and Scale behind it. */
function layersOf(model: Model, norm: 'CuDNNBatchNorm' | 'BatchNorm'): CaffeLayer[] {
  const names = namesInStyle(model.spec, 'caffe')!
  const groups = new Map<string, Map<string, CaffeBlob>>()
  for (const { name, shape } of model.tensors()) {
    const theirs = names.get(name)!
    const at = theirs.lastIndexOf('.')
    const parts = groups.get(theirs.slice(0, at)) ?? new Map<string, CaffeBlob>()
    groups.set(theirs.slice(0, at), parts.set(theirs.slice(at + 1), { shape: [...shape], data: model.weights().get(name)! }))
  }
  const layers = [...groups].flatMap(([name, parts]): CaffeLayer[] => {
    const [weight, bias, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map((part) => parts.get(part))
    const values = [`${name}`]
    if (mean === undefined) {
      const type = name === 'classifier' ? 'InnerProduct' : 'Convolution'
      return [{ name, type, tops: values, blobs: [weight!, ...(bias === undefined ? [] : [bias])] }]
    }
    if (norm === 'CuDNNBatchNorm') return [{ name, type: norm, tops: values, blobs: [weight!, bias!, mean, variance!] }]
    const doubled = ({ shape, data }: CaffeBlob) => ({ shape, data: data.map((v) => v * 2) })
    return [
      { name, type: 'BatchNorm', bottoms: values, tops: values, blobs: [doubled(mean), doubled(variance!), blob([1], 2)] },
      { name: `${name}/scale`, type: 'Scale', bottoms: values, tops: values, blobs: [weight!, bias!] },
    ]
  })
  return [{ name: 'data', type: 'Input', tops: ['data'] }, ...layers, pool]
}

describe("Caffe's files", function () {
  this.timeout(120_000)
  const folder = temporaryFolder()
  const path = () => join(folder(), 'net.caffemodel')

  for (const [arch, norm] of [
    ['sknet26', 'CuDNNBatchNorm'],
    ['seresnext50_32x4d', 'BatchNorm'],
  ] as const) {
    it(`give ${arch} with ${norm}, the attention's width and the pool as the layers say`, async () => {
      const { spec } = createModel(arch, { classes: 11 })
      // As in the published SKNet-101: 16 channels of attention in one stage; Caffe's pool.
      const layers = spec.layers.map((layer): Layer => {
        if (layer.op === 'max_pool') return { ...layer, padding: 0, ceil: true }
        return layer.op === 'sk_unit' && layer.name.startsWith('layer2.') ? { ...layer, attention: { width: 16 } } : layer
      })
      const model = defineModel({ ...spec, layers })
      model.setWeights(new Map(model.tensors().map(({ name, shape }) => [name, fillTensor(name, shape)])))
      writeFileSync(path(), caffeModel(layersOf(model, norm)))
      const loaded = await loadModel(path(), { arch })
      expect(loaded.spec).to.deep.equal(model.spec)
      expect(loaded.report).to.deep.include({ format: 'caffe', names: 'caffe', missing: [], unexpected: [] })
      expect(loaded.report!.notes.join()).to.match(/BGR/)
      const own = model.weights()
      for (const [name, data] of loaded.weights()) expect(data, name).to.deep.equal(own.get(name))
      // It stays what it is when it is saved here.
      await loaded.save(join(folder(), 'kept'))
      expect((await loadModel(join(folder(), 'kept'))).spec).to.deep.equal(model.spec)
    })
  }

  it('are read with old shapes, a factor of zero, eps, and a Scale without bias', async () => {
    const layers: CaffeLayer[] = [
      { name: 'c', type: 'Convolution', tops: ['c'], blobs: [blob([4, 2, 3, 3]), blob([4])], oldShapes: true },
      { name: 'n', type: 'BatchNorm', bottoms: ['c'], tops: ['c'], blobs: [blob([4]), blob([4]), blob([1], 0)], eps: 0.001 },
      { name: 's', type: 'Scale', bottoms: ['c'], tops: ['c'], blobs: [blob([4], 5)] },
      { name: 'p', type: 'Pooling', pooling: { 2: 2, 3: 2, 4: 1, 13: 1 } },
      { name: 'a', type: 'Pooling', pooling: { 1: 1, 12: 1 } },
    ]
    writeFileSync(path(), caffeModel(layers))
    const { tensors, pools, eps } = await readCaffeFile(path())
    expect(tensors.get('c.weight')!.shape).to.deep.equal([4, 2, 3, 3])
    expect(tensors.get('c.bias')!.shape).to.deep.equal([4])
    expect(Array.from(tensors.get('n.running_mean')!.data as Float32Array)).to.deep.equal([0, 0, 0, 0])
    expect(Array.from(tensors.get('n.weight')!.data as Float32Array)).to.deep.equal([5, 6, 7, 8])
    expect(Array.from(tensors.get('n.bias')!.data as Float32Array)).to.deep.equal([0, 0, 0, 0])
    expect([...pools]).to.deep.equal([['p', { kernel: 2, stride: 2, padding: 1, ceil: false }]])
    expect(eps.get('n')).to.equal(0.001)
  })

  async function refusal(bytes: Uint8Array): Promise<Awaited<ReturnType<typeof rejected>>> {
    writeFileSync(path(), bytes)
    const error = await rejected(() => readCaffeFile(path()))
    expect(error.code).to.equal('ERR_SKNET_FORMAT')
    expect(error.message.length).to.be.below(600)
    return error
  }
  const conv = (change: Partial<CaffeLayer>): CaffeLayer[] => [
    { name: 'c', type: 'Convolution', tops: ['c'], blobs: [blob([2, 2])], ...change },
  ]
  const bad: [string, CaffeLayer[], RegExp, string | undefined][] = [
    ['a shape that overflows', conv({ blobs: [{ shape: [2 ** 40, 2 ** 40], data: new Float32Array(4) }] }), /as many numbers/, 'c'],
    ['a negative side', conv({ blobs: [{ shape: [-2, -2], data: new Float32Array(4) }] }), /as many numbers/, 'c'],
    ['nine sides', conv({ blobs: [blob([1, 1, 1, 1, 1, 1, 1, 1, 1])] }), /as many numbers/, 'c'],
    ['fewer numbers than the shape says', conv({ blobs: [{ shape: [2, 2], data: new Float32Array(3) }] }), /2x2 has 3 numbers/, 'c'],
    ['three blobs of a convolution', conv({ blobs: [blob([1]), blob([1]), blob([1])] }), /has 3 blobs/, 'c'],
    ['nine blobs', conv({ blobs: Array.from({ length: 9 }, () => blob([1])) }), /too many blobs/, 'c'],
    ['two blobs of a batch norm', conv({ type: 'BatchNorm', blobs: [blob([2]), blob([2])] }), /has 2 blobs/, 'c'],
    ['a factor of two numbers', conv({ type: 'BatchNorm', blobs: [blob([2]), blob([2]), blob([2])] }), /factor/, 'c'],
    ['a Scale behind nothing', conv({ type: 'Scale', bottoms: ['x'] }), /no batch norm/, 'c'],
    ['a layer with weights of another kind', conv({ type: 'LSTM' }), /LSTM/, 'c'],
    ['a layer twice', [...conv({}), ...conv({})], /twice/, undefined],
    ['a layer without a name', conv({ name: '' }), /is called ""/, undefined],
    ['a name with NUL', conv({ name: 'a\0' }), /is called/, undefined],
    ['no weights', [pool], /no weights/, undefined],
  ]
  for (const [what, layers, says, layer] of bad) {
    it(`with ${what} are refused`, async () => {
      const error = await refusal(caffeModel(layers))
      expect(error.message).to.match(says)
      if (layer !== undefined) expect(error.tensor).to.equal(layer)
    })
  }

  it('of the time before 2014 are refused, with what to do', async () => {
    expect((await refusal(caffeModel(conv({}), 2))).message).to.match(/upgrade_net_proto_binary/)
  })

  it('that are cut are refused, or hold less; with one byte changed they are refused or read, and nothing else happens', async () => {
    const whole = caffeModel([...conv({ blobs: [blob([2, 2]), blob([2])] }), pool])
    for (let at = 0; at < whole.length; at++) {
      const changed = Uint8Array.from(whole)
      changed[at]! ^= 0x81
      for (const bytes of [whole.subarray(0, at), changed]) {
        writeFileSync(path(), bytes)
        await readCaffeFile(path()).catch((error: unknown) => expect(error, `byte ${at}`).to.have.property('code', 'ERR_SKNET_FORMAT'))
      }
    }
  })

  it('that are something else are refused', async () => {
    await refusal(Buffer.from('name: "a prototxt"\nlayer { }\n'.repeat(50)))
    await refusal(Buffer.alloc(1000, 0xff))
    await refusal(Buffer.alloc(0))
    // Groups within groups.
    await refusal(Buffer.alloc(100_000, 0x0b))
  })
})
