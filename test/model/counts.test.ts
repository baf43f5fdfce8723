import { expect } from 'chai'
import { canonicalName, createModel, listModels, sknet26, sknet50, sknet101, sknetCifar } from '../../lib/model/registry.js'
import { goldenFile } from '../support/golden.js'
import { readFileSync } from 'node:fs'
import { published, type PublishedRow } from './published.js'

function expectCount(what: string, count: number, figure: NonNullable<PublishedRow['params']>): void {
  if (typeof figure === 'number') expect(count, what).to.equal(figure)
  else expect(count / 1e6, `${what} in millions`).to.be.closeTo(figure[0], figure[1])
}

describe('parameters and MACs', () => {
  for (const { facts, model: name, options, size, params, macs } of published) {
    it(`${facts}: ${name}`, () => {
      const model = createModel(name, options)
      if (params !== undefined) expectCount('parameters', model.params, params)
      if (macs !== undefined) expectCount('MACs', model.macs(size === undefined ? {} : { size }), macs)
    })
  }

  it('counts images that are no squares', () => {
    expect(sknet101().macs({ size: { height: 320, width: 320 } })).to.equal(sknet101().macs({ size: 320 }))
    expect(sknet50().macs({ size: { height: 192, width: 256 } })).to.be.below(sknet50().macs())
  })

  it('has every network that is listed in the table', () => {
    const counted = new Set(published.map(({ model }) => canonicalName(model)))
    expect(listModels().filter((name) => !counted.has(name))).to.deep.equal([])
  })

  it('has all networks of the contract, under timm and torchvision names too', () => {
    const contract =
      'sknet26 sknet50 sknet101 resnext26_32x4d resnext50_32x4d resnext101_32x4d seresnext50_32x4d seresnext101_32x4d ' +
      'sknet29_cifar resnext29_16x32d_cifar resnext29_8x64d_cifar resnext29_16x64d_cifar senet29_cifar sknet_tiny_cifar ' +
      'shufflenetv2_x0_5 se_shufflenetv2_x0_5 sk_shufflenetv2_x0_5 shufflenetv2_x1_0 se_shufflenetv2_x1_0 sk_shufflenetv2_x1_0 ' +
      'mobilenet_v1 sk_mobilenet_v1 skresnet18 skresnet34 skresnet50'
    expect(listModels()).to.include.members(contract.split(' '))
    expect(new Set(listModels()).size).to.equal(listModels().length)
    expect(createModel('skresnext50_32x4d').spec).to.deep.equal(sknet50().spec)
    expect(createModel('skresnext50_32x4d.ra_in1k').spec).to.deep.equal(sknet50().spec)
    expect(createModel('resnext50_32x4d.a1_in1k').spec.arch).to.equal('resnext50_32x4d')
    expect(createModel('shufflenet_v2_x1_0').spec.arch).to.equal('shufflenetv2_x1_0')
    expect(createModel('sknet50_k3k5').spec).to.deep.equal(sknet50().spec)
    expect(sknet26().spec.arch).to.equal('sknet26')
    for (const name of listModels()) expect(createModel(name, { classes: 7 }).spec, name).to.include({ arch: name, classes: 7 })
  })

  it('takes options over a row of the paper', () => {
    expect(createModel('sknet50_k3k5k7', { reduction: 8, classes: 10 }).spec.layers).to.deep.equal(
      sknet50({ branches: 3, reduction: 8, classes: 10 }).spec.layers,
    )
    expect(createModel('sknet50_k5', { branches: 2 }).spec.layers).to.deep.equal(sknet50({ attention: false }).spec.layers)
  })

  it('has another minWidth in each stage where a list is given', () => {
    const widths = sknet101({ minWidth: [8, 16, 32, 128] }).spec.layers.flatMap((l) => (l.op === 'sk_unit' ? [l.attention!.width] : []))
    expect([...new Set(widths)]).to.deep.equal([8, 16, 32, 128])
    expect(widths).to.have.length(33)
  })

  it('pools the stem as Caffe does where asked', () => {
    const pools = (size: number) =>
      (['padded', 'ceil'] as const).map((stemPool) => sknet26({ stemPool }).summary({ size }).layers[3]!.outputShape)
    expect(pools(224)).to.deep.equal([
      [56, 56, 64],
      [56, 56, 64],
    ])
    expect(sknet26({ stemPool: 'ceil' }).spec.layers[3]).to.deep.include({ op: 'max_pool', padding: 0, ceil: true })
    expect(sknet26().spec.layers[3]).to.deep.include({ op: 'max_pool', padding: 1 }).and.to.not.have.property('ceil')
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
