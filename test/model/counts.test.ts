import { expect } from 'chai'
import { createModel, listModels, sknet26, sknet50, sknet101, sknetCifar } from '../../lib/model/registry.js'
import type { CreateOptions } from '../../lib/model/registry.js'
import { goldenFile } from '../support/golden.js'
import { readFileSync } from 'node:fs'

// FACTS 1.3 and 1.10, and DESIGN 7's MACs at 224.
const named: [string, params: number, macs: number | null, CreateOptions?][] = [
  ['sknet26', 16_746_408, 2_586_877_952],
  ['sknet50', 27_479_784, 4_462_710_784],
  ['sknet101', 48_736_040, 8_448_724_992],
  ['resnext26_32x4d', 15_389_480, null],
  ['resnext50_32x4d', 25_028_904, 4_230_479_872],
  ['resnext101_32x4d', 44_177_704, null],
  ['seresnext50_32x4d', 27_559_896, null],
  ['seresnext101_32x4d', 48_955_416, null],
  ['sknet29_cifar', 28_256_394, null],
  ['resnext29_16x32d_cifar', 25_136_970, null],
  ['resnext29_16x32d_cifar', 25_229_220, null, { classes: 100 }],
  ['resnext29_8x64d_cifar', 34_426_698, null],
  ['resnext29_8x64d_cifar', 34_518_948, null, { classes: 100 }],
  ['resnext29_16x64d_cifar', 68_155_210, null],
  ['resnext29_16x64d_cifar', 68_247_460, null, { classes: 100 }],
  ['senet29_cifar', 34_948_506, null],
  ['sknet29_cifar', 26_781_258, null, { reduction: 32 }],
  ['sknet_tiny_cifar', 320_874, 49_667_584],
]

// Figures in FACTS that are rounded: millions of parameters and GMACs, with the unit of the last digit.
const rounded: [string, string, CreateOptions, number, number][] = [
  ['ResNeXt-50, wider (1.6)', 'resnext50_32x4d', { midWidth: 136, outWidth: 272, groups: 34 }, 28.02, 4.74],
  ['ResNeXt-56, deeper (1.6)', 'resnext50_32x4d', { blocks: [3, 4, 8, 3] }, 27.28, 4.67],
  ['ResNeXt-50 36x4d (1.6)', 'resnext50_32x4d', { midWidth: 144, groups: 36 }, 27.55, 4.699],
  ['3x3 D3 (1.7)', 'sknet50', { branches: [{}, { dilation: 3 }] }, 27.48, 4.463],
  ['5x5 G64 (1.7)', 'sknet50', { branches: [{}, { kernel: 5, groups: 64 }] }, 28.03, 4.553],
  ['7x7 G128 (1.7)', 'sknet50', { branches: [{}, { kernel: 7, groups: 128 }] }, 27.99, 4.546],
  ['K5 alone (1.8)', 'sknet50', { branches: [{ dilation: 2 }], attention: false }, 25.03, 4.23],
  ['K3+K5, plain sum (1.8)', 'sknet50', { attention: false }, 26.46, 4.462],
  ['K3+K5+K7, plain sum (1.8)', 'sknet50', { branches: 3, attention: false }, 27.89, 4.693],
  ['K3+K5+K7 (1.8)', 'sknet50', { branches: 3 }, 29.25, 4.694],
  ['r = 8 (1.3)', 'sknet50', { reduction: 8 }, 28.37, 4.464],
  ['r = 32 (1.3)', 'sknet50', { reduction: 32 }, 27.18, 4.462],
  ['G16+G128, r32 (1.10)', 'sknet29_cifar', { branches: [{ groups: 16 }, { dilation: 2, groups: 128 }], reduction: 32 }, 27.942474, 4.2],
]

describe('parameters and MACs', () => {
  for (const [name, params, macs, options] of named) {
    it(`${name}${options === undefined ? '' : ` ${JSON.stringify(options)}`}: ${params.toLocaleString('en')}`, () => {
      const model = createModel(name, options)
      expect(model.params).to.equal(params)
      if (macs !== null) expect(model.macs()).to.equal(macs)
    })
  }

  for (const [what, name, options, millions, gmacs] of rounded) {
    it(what, () => {
      const model = createModel(name, options)
      expect(model.params / 1e6).to.be.closeTo(millions, 0.0051)
      expect(model.macs() / 1e9).to.be.closeTo(gmacs, 0.00051 + (gmacs === 4.2 ? 0.0005 : 0))
    })
  }

  it('counts at other sizes', () => {
    expect(sknet50().macs({ size: 320 }) / 1e9).to.be.closeTo(9.1044, 0.00006)
    expect(sknet101().macs({ size: { height: 320, width: 320 } }) / 1e9).to.be.closeTo(17.2382, 0.00006)
  })

  it('has all networks of the contract, under timm names too', () => {
    const list = 'sknet26 sknet50 sknet101 resnext26_32x4d resnext50_32x4d resnext101_32x4d seresnext50_32x4d seresnext101_32x4d '
    const cifar = 'sknet29_cifar resnext29_16x32d_cifar resnext29_8x64d_cifar resnext29_16x64d_cifar senet29_cifar sknet_tiny_cifar'
    expect(listModels()).to.have.members((list + cifar).split(' '))
    expect(createModel('skresnext50_32x4d').spec).to.deep.equal(sknet50().spec)
    expect(sknet26().spec.arch).to.equal('sknet26')
  })

  it('builds CIFAR networks of any layout', () => {
    expect(sknetCifar().spec).to.deep.equal(createModel('sknet29_cifar').spec)
    const tiny = sknetCifar({ blocks: [2, 2, 2], stemWidth: 32, midWidth: 32, outWidth: 64, groups: 8, minWidth: 16 })
    expect(tiny.params).to.equal(320_874)
    expect(sknetCifar({ unit: 'conv', groups: 16 }).params).to.equal(25_136_970)
    expect(sknetCifar({ unit: 'se', groups: 8 }).params).to.equal(34_948_506)
  })

  it('summarises layer by layer', () => {
    const summary = sknet50({ classes: 10 }).summary({ size: 64 })
    expect(summary.name).to.equal('sknet50')
    expect(summary.params).to.equal(27_479_784 - 990 * 2049)
    expect(summary.layers.find((l) => l.name === 'layer4.2.conv2')).to.include({
      op: 'sk_unit',
      params: 2 * 1024 * 32 * 9 + 4 * 1024 + 64 * 1024 + 128 + 2048 * 64,
    })
    expect(summary.layers.at(-1)).to.deep.include({ name: 'fc', outputShape: [1, 1, 10], params: 20_490, macs: 20_480 })
    expect(summary.layers.reduce((sum, l) => sum + l.macs, 0)).to.equal(summary.macs)
    const lines = String(summary).split('\n')
    expect(lines.filter((line) => line.includes('sk_unit'))).to.have.length(16)
    expect(lines.at(-1)).to.include('sknet50 at 64x64: 25,451,274 parameters')
    expect(Object.keys(JSON.parse(JSON.stringify(summary)) as object)).to.deep.equal(['name', 'params', 'buffers', 'macs', 'layers'])
  })
})

describe('tensor names', () => {
  it("are timm's, in timm's order, for SKNet-50", function () {
    const file = goldenFile('skresnext50_32x4d_names.json')
    if (file === null) return this.skip()
    const names = JSON.parse(readFileSync(file, 'utf8')) as Record<string, number[]>
    const own = sknet50()
      .tensors()
      .map(({ name, shape }) => [name, shape])
    expect(own).to.deep.equal(Object.entries(names))
  })

  it("are timm's for the bottlenecks of ResNeXt and SE-ResNeXt", () => {
    const own = createModel('seresnext50_32x4d').tensors()
    const first = own.filter(({ name }) => name.startsWith('layer1.0.')).map(({ name, shape }) => `${name} ${shape.join('x')}`)
    const norm = (name: string, c: number) => ['weight', 'bias', 'running_mean', 'running_var'].map((part) => `${name}.${part} ${c}`)
    expect(first).to.deep.equal([
      'layer1.0.conv1.weight 128x64x1x1',
      ...norm('layer1.0.bn1', 128),
      'layer1.0.conv2.weight 128x4x3x3',
      ...norm('layer1.0.bn2', 128),
      'layer1.0.conv3.weight 256x128x1x1',
      ...norm('layer1.0.bn3', 256),
      'layer1.0.se.fc1.weight 16x256x1x1',
      'layer1.0.se.fc1.bias 16',
      'layer1.0.se.fc2.weight 256x16x1x1',
      'layer1.0.se.fc2.bias 256',
      'layer1.0.downsample.0.weight 256x64x1x1',
      ...norm('layer1.0.downsample.1', 256),
    ])
    expect(own.filter(({ name }) => name.endsWith('.downsample.0.weight'))).to.have.length(4)
  })

  it('marks running statistics as buffers', () => {
    const kinds = createModel('sknet_tiny_cifar').tensors()
    for (const { name, kind } of kinds) expect(kind, name).to.equal(/running_(mean|var)$/.test(name) ? 'buffer' : 'param')
  })
})
