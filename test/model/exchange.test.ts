import { expect } from 'chai'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSafetensorsFile, writeSafetensors } from '../../lib/checkpoint/safetensors.js'
import type { SafeTensor } from '../../lib/checkpoint/safetensors.js'
import { loadModel } from '../../lib/model/load.js'
import type { Model } from '../../lib/model/model.js'
import { nameStyles } from '../../lib/model/name-schemes.js'
import { namesInStyle, recognizeNames } from '../../lib/model/names.js'
import { createModel, listModels } from '../../lib/model/registry.js'
import { makeTorchFile } from '../support/make-torch-file.js'
import { temporaryFolder } from '../support/temp.js'
import { rejected } from '../support/thrown.js'

function expectSameWeights(a: Model, b: Model): void {
  const other = b.weights()
  for (const [name, data] of a.weights()) expect(Buffer.from(data.buffer).equals(Buffer.from(other.get(name)!.buffer)), name).to.equal(true)
}

const small = (name: string) => createModel(name, { blocks: [1, 2], classes: 7, seed: 3 })

describe('names of other libraries', () => {
  // Names as the libraries' own state dictionaries have them.
  const samples: [model: string, style: (typeof nameStyles)[number], own: string, foreign: string][] = [
    ['sknet50', 'pytorchcv', 'conv1.weight', 'features.init_block.conv.conv.weight'],
    ['sknet50', 'pytorchcv', 'layer2.3.conv1.bn.running_var', 'features.stage2.unit4.body.conv1.bn.running_var'],
    ['sknet50', 'pytorchcv', 'layer1.0.conv2.paths.0.conv.weight', 'features.stage1.unit1.body.conv2.branches.branch2.conv.weight'],
    ['sknet50', 'pytorchcv', 'layer1.0.conv2.paths.1.bn.bias', 'features.stage1.unit1.body.conv2.branches.branch3.bn.bias'],
    ['sknet50', 'pytorchcv', 'layer1.0.conv2.attn.fc_reduce.weight', 'features.stage1.unit1.body.conv2.fc1.conv.weight'],
    ['sknet50', 'pytorchcv', 'layer1.0.conv2.attn.bn.weight', 'features.stage1.unit1.body.conv2.fc1.bn.weight'],
    ['sknet50', 'pytorchcv', 'layer1.0.conv2.attn.fc_select.weight', 'features.stage1.unit1.body.conv2.fc2.weight'],
    ['sknet50', 'pytorchcv', 'layer4.0.downsample.1.weight', 'features.stage4.unit1.identity_conv.bn.weight'],
    ['sknet50', 'pytorchcv', 'fc.bias', 'output.bias'],
    ['resnext50_32x4d', 'pytorchcv', 'layer3.5.conv2.weight', 'features.stage3.unit6.body.conv2.conv.weight'],
    ['seresnext50_32x4d', 'pytorchcv', 'layer3.5.se.fc2.bias', 'features.stage3.unit6.se.conv2.bias'],
    ['sknet101', 'caffe', 'conv1.weight', 'conv1/7x7_s2.weight'],
    ['sknet101', 'caffe', 'layer1.2.conv1.bn.running_mean', 'conv2_3/1x1_reduce/bn.running_mean'],
    ['sknet101', 'caffe', 'layer3.22.conv2.paths.0.conv.weight', 'conv4_23/3x3g32.weight'],
    ['sknet101', 'caffe', 'layer3.22.conv2.paths.1.bn.weight', 'conv4_23/3x3g32d2/bn.weight'],
    ['sknet50', 'caffe', 'layer2.0.conv2.attn.fc_reduce.weight', 'conv3_1/B_fc1.weight'],
    ['sknet50', 'caffe', 'layer2.0.conv2.attn.bn.bias', 'conv3_1/B_fc1/bn.bias'],
    ['sknet50', 'caffe', 'layer2.0.conv2.attn.fc_select.weight', 'conv3_1/B_fc2.weight'],
    ['sknet50', 'caffe', 'layer4.0.conv3.conv.weight', 'conv5_1/1x1_increase.weight'],
    ['sknet50', 'caffe', 'layer4.0.downsample.1.bias', 'conv5_1/1x1_proj/bn.bias'],
    ['sknet50', 'caffe', 'fc.bias', 'classifier.bias'],
    ['seresnext50_32x4d', 'caffe', 'layer1.0.bn1.bias', 'conv2_1_1x1_reduce/bn.bias'],
    ['seresnext50_32x4d', 'caffe', 'layer1.0.se.fc1.weight', 'conv2_1_1x1_down.weight'],
    ['shufflenetv2_x1_0', 'torchvision', 'stage2.0.branch1.3.weight', 'stage2.0.branch1.3.weight'],
    ['resnext50_32x4d', 'torchvision', 'layer3.0.downsample.1.running_mean', 'layer3.0.downsample.1.running_mean'],
  ]
  for (const [model, style, own, foreign] of samples) {
    it(`${style} calls ${own} of ${model} ${foreign}`, () => {
      expect(namesInStyle(createModel(model).spec, style)!.get(own)).to.equal(foreign)
    })
  }

  it('are as many as there are tensors, and are told by themselves', () => {
    for (const model of listModels()) {
      const { spec } = createModel(model)
      for (const style of nameStyles) {
        const names = namesInStyle(spec, style)
        if (names === null) continue
        expect(new Set(names.values()).size, `${model} ${style}`).to.equal(names.size)
        const shuffled = [...names.values()].reverse()
        const recognized = recognizeNames(spec, shuffled)
        expect([...recognized.names], `${model} ${style}`).to.deep.equal([...names])
        const wrapped = recognizeNames(
          spec,
          shuffled.map((name) => `_orig_mod.module.${name}`),
        )
        expect(wrapped.names.get('fc.weight'), `${model} ${style}`).to.equal(`_orig_mod.module.${names.get('fc.weight')}`)
      }
    }
  })

  it('exist where the library has the network', () => {
    const has = (model: string) => nameStyles.filter((style) => namesInStyle(createModel(model).spec, style) !== null)
    expect(has('sknet50')).to.include.members(['timm', 'pytorchcv']).and.not.include('torchvision')
    expect(has('resnext50_32x4d')).to.include.members(['timm', 'torchvision', 'pytorchcv'])
    expect(has('shufflenetv2_x0_5')).to.deep.equal(['timm', 'torchvision'])
    for (const other of ['skresnet18', 'skresnet50', 'sknet50_5x5g64', 'se_shufflenetv2_x0_5', 'sk_mobilenet_v1']) {
      expect(has(other), other).to.deep.equal(['timm'])
    }
    expect(has('seresnext50_32x4d')).to.include.members(['timm', 'pytorchcv']).and.not.include('torchvision')
  })
})

describe('exchange of weights', () => {
  const folder = temporaryFolder()
  const path = (name: string) => join(folder(), name)

  for (const [arch, style] of [
    ['sknet50', 'pytorchcv'],
    ['seresnext50_32x4d', 'pytorchcv'],
    ['resnext50_32x4d', 'pytorchcv'],
    ['resnext50_32x4d', 'torchvision'],
  ] as const) {
    it(`${arch} goes to names of ${style} and back`, async () => {
      const model = small(arch)
      model.classNames = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
      await model.save(path('x.safetensors'), { names: style })
      const { tensors } = await readSafetensorsFile(path('x.safetensors'))
      expect([...tensors.keys()].sort()).to.deep.equal([...namesInStyle(model.spec, style)!.values()].sort())
      const back = await loadModel(path('x.safetensors'))
      expectSameWeights(model, back)
      // torchvision's names are timm's.
      expect(back.report).to.deep.include({
        names: style === 'torchvision' ? 'timm' : style,
        format: 'safetensors',
        missing: [],
        unexpected: [],
      })
      expect(back.classNames).to.deep.equal(model.classNames)
      back.dispose()
    })
  }

  it('reads a foreign file by arch, counts its classes by its own head, and reports in its names', async () => {
    const model = createModel('sknet50', { classes: 7, seed: 1 })
    const names = namesInStyle(model.spec, 'pytorchcv')!
    const tensors = new Map<string, SafeTensor>(
      model.tensors().map(({ name, shape }) => [names.get(name)!, { dtype: 'F32', shape: [...shape], data: model.weights().get(name)! }]),
    )
    tensors.set('features.init_block.conv.bn.num_batches_tracked', { dtype: 'I64', shape: [], data: BigInt64Array.of(1n) })
    tensors.set('features.extra', { dtype: 'F32', shape: [1], data: new Float32Array(1) })
    await writeSafetensors(path('cv.safetensors'), tensors)
    const loaded = await loadModel(path('cv.safetensors'), { arch: 'sknet50', strict: false })
    expect(loaded.spec.classes).to.equal(7)
    expect(loaded.report).to.deep.include({ names: 'pytorchcv', missing: [], unexpected: ['features.extra'] })
    expectSameWeights(model, loaded)
    expect(await rejected(() => loadModel(path('cv.safetensors'), { arch: 'sknet50' }))).to.include({
      code: 'ERR_SKNET_WEIGHTS',
      tensor: 'features.extra',
    })
    expect(await rejected(() => loadModel(path('cv.safetensors'), { arch: 'resnext50_32x4d' }))).to.include({ code: 'ERR_SKNET_WEIGHTS' })
  })

  it("reads PyTorch's .pth, with the names a wrapped model gives", async () => {
    const model = createModel('sknet_tiny_cifar', { classes: 5, seed: 2 })
    const tensors = new Map(model.tensors().map(({ name, shape }) => [`module.${name}`, { shape, data: model.weights().get(name)! }]))
    writeFileSync(path('w.pth'), makeTorchFile(tensors))
    const loaded = await loadModel(path('w.pth'), { arch: 'sknet_tiny_cifar' })
    expectSameWeights(model, loaded)
    expect(loaded.report).to.deep.include({ format: 'torch', names: 'timm', missing: [], unexpected: [], nonFinite: [] })
    const error = await rejected(() => loadModel(path('w.pth'), { arch: 'sknet29_cifar' }))
    expect(error).to.include({ code: 'ERR_SKNET_WEIGHTS', tensor: 'conv1.weight' })
    expect((await rejected(() => loadModel(path('w.pth')))).option).to.equal('arch')
  })

  for (const bad of [NaN, Infinity, -Infinity]) {
    it(`refuses weights that hold ${bad}`, async () => {
      const model = createModel('sknet_tiny_cifar')
      model.weights().get('layer2.0.conv2.attn.bn.running_var')![3] = bad
      await model.save(path('nan'))
      const error = await rejected(() => loadModel(path('nan')))
      expect(error).to.include({ code: 'ERR_SKNET_WEIGHTS', tensor: 'layer2.0.conv2.attn.bn.running_var' })
      const loaded = await loadModel(path('nan'), { strict: false })
      expect(loaded.report!.nonFinite).to.deep.equal(['layer2.0.conv2.attn.bn.running_var'])
    })
  }

  it('refuses names that do not fit', async () => {
    const model = createModel('sknet_tiny_cifar')
    const save = (name: string, names: string) => rejected(() => model.save(path(name), { names: names as 'timm' }))
    expect(await save('x.safetensors', 'torchvision')).to.include({ code: 'ERR_SKNET_OPTION', option: 'names', got: 'torchvision' })
    expect(await save('x.safetensors', 'keras')).to.include({ code: 'ERR_SKNET_OPTION', option: 'names' })
    expect(await save('folder', 'pytorchcv')).to.include({ code: 'ERR_SKNET_OPTION', option: 'path' })
  })

  it('says of what network a file is where it is loaded as another', async () => {
    await createModel('sknet_tiny_cifar').save(path('tiny'))
    const error = await rejected(() => loadModel(path('tiny'), { arch: 'sknet29_cifar' }))
    expect(error.hint).to.equal('The file says that it is of sknet_tiny_cifar')
  })
})
