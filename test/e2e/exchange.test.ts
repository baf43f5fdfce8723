import { expect } from 'chai'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readSafetensors } from '../../lib/checkpoint/safetensors.js'
import { loadModel } from '../../lib/model/load.js'
import { createModel } from '../../lib/model/registry.js'
import { makeTorchFile } from '../support/make-torch-file.js'
import { readOnnx } from '../support/read-onnx.js'
import { writeCifar } from './cifar-files.js'
import { sknet, temporaryFolder } from './cli.js'

describe('e2e: import and export', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()
  const at = (name: string) => join(folder.path(), name)

  it('import makes a model folder of a .pth, which eval and train take', async () => {
    const model = createModel('sknet_tiny_cifar', { seed: 5 })
    const tensors = new Map(model.tensors().map(({ name, shape }) => [`module.${name}`, { shape, data: model.weights().get(name)! }]))
    tensors.set('module.bn1.num_batches_tracked', { shape: [], data: Float32Array.of(1) })
    await writeFile(at('w.pth'), makeTorchFile(tensors))
    await writeFile(at('labels.txt'), `${Array.from({ length: 10 }, (_, i) => `kind ${i}`).join('\n')}\n`)
    const args = [
      '--arch',
      'sknet_tiny_cifar',
      '--out',
      at('model'),
      '--labels',
      at('labels.txt'),
      '--crop',
      '28',
      '--resize',
      '30',
      '--json',
    ]
    const outcome = await sknet('import', at('w.pth'), ...args)
    expect(outcome.code, outcome.stderr).to.equal(0)
    const expected = { type: 'result', format: 'torch', names: 'timm', loaded: model.tensors().length, classes: 10 }
    expect(outcome.last).to.deep.include({ ...expected, missing: [], unexpected: [], reshaped: [] })
    expect((await readdir(at('model'))).sort()).to.deep.equal(['README.md', 'config.json', 'model.safetensors'])
    const card = await readFile(join(at('model'), 'README.md'), 'utf8')
    expect(card)
      .to.match(/, 10 classes/)
      .and.match(/w\.pth/)
      .and.match(/kind 7/)
      .and.match(/[0-9a-f]{64}/)
    const loaded = await loadModel(at('model'))
    expect(loaded.preprocessing).to.include({ crop: 28, resize: 30 })
    expect(loaded.weights().get('fc.weight')).to.deep.equal(model.weights().get('fc.weight'))

    const data = await writeCifar(at('data'), { train: 32, val: 20 })
    expect((await sknet('eval', '--weights', at('model'), '--data', data, '--json')).last).to.include({ type: 'result', images: 20 })
    const line = ['train', '--data', data, '--model', 'sknet_tiny_cifar', '--recipe', 'cifar', '--batch', '16', '--epochs', '1']
    const trained = await sknet(...line, '--init', at('model'), '--run', at('run'), '--json')
    expect(trained.code, trained.stderr).to.equal(0)
    const best = await readFile(at('run/best/README.md'), 'utf8')
    expect(best)
      .to.match(/recipe \| cifar/)
      .and.match(/top1 \|/)
      .and.match(/optimizer\.lr/)
    expect((await loadModel(at('run/best'))).info).to.deep.include({ recipe: 'cifar', epochs: 1, steps: 2 })
  })

  it('import says what is missing, and replaces a head only where asked to', async () => {
    await createModel('sknet_tiny_cifar', { classes: 3 }).save(at('three.safetensors'))
    const line = ['import', at('three.safetensors'), '--out', at('seven'), '--classes', '7', '--json']
    const refused = await sknet(...line)
    expect(refused.code).to.equal(3)
    expect(refused.last).to.include({ type: 'error', code: 'ERR_SKNET_WEIGHTS', tensor: 'fc.weight' })
    const replaced = await sknet(...line, '--replace-head')
    expect(replaced.code).to.equal(0)
    expect(replaced.last).to.deep.include({ classes: 7, replaced: ['fc.weight', 'fc.bias'] })
    expect(replaced.stderr).to.match(/replaced by a new head: fc\.weight, fc\.bias/)
    expect((await sknet('import', at('three.safetensors'), '--json')).code).to.equal(2)
    expect((await sknet('import', at('none.pth'), '--out', at('x'), '--json')).code).to.equal(3)
  })

  it('export writes names of other libraries, folders and ONNX', async () => {
    const model = createModel('sknet_tiny_cifar', { seed: 2 })
    await model.save(at('own'))
    const line = (...more: string[]) => sknet('export', '--weights', at('own'), ...more, '--json')
    expect((await line('--out', at('cv.safetensors'), '--names', 'pytorchcv')).code).to.equal(0)
    expect([...(await readSafetensors(at('cv.safetensors'))).keys()]).to.include('features.init_block.conv.bn.running_var')
    expect((await line('--out', at('copy'))).last).to.include({ format: 'folder' })
    expect((await loadModel(at('copy'))).spec).to.deep.equal(model.spec)

    const onnx = await line('--out', at('m.onnx'), '--opset', '19', '--batch', '3', '--size', '40x48', '--keep-bn')
    expect(onnx.last).to.deep.include({ type: 'result', format: 'onnx', opset: 19, batch: 3, size: [40, 48] })
    const file = readOnnx(at('m.onnx'))
    expect(file.inputs[0]!.dims).to.deep.equal([3, 3, 40, 48])
    expect(file.nodes.map(({ op }) => op)).to.include('BatchNormalization')
    await line('--out', at('any'), '--format', 'onnx', '--batch', 'dynamic', '--size', 'dynamic')
    expect(readOnnx(at('any')).inputs[0]!.dims).to.deep.equal(['batch', 3, 'height', 'width'])

    for (const [flag, ...more] of [
      ['batch', '--out', at('m.onnx'), '--batch', 'many'],
      ['size', '--out', at('m.onnx'), '--size', '12x'],
      ['names', '--out', at('m.onnx'), '--names', 'timm'],
      ['opset', '--out', at('m.safetensors'), '--opset', '17'],
      ['names', '--out', at('m.safetensors'), '--names', 'torchvision'],
      ['format', '--out', at('m'), '--format', 'keras'],
      ['out'],
    ]) {
      const { code, last } = await line(...more)
      expect(code, more.join(' ')).to.equal(2)
      expect(last, more.join(' ')).to.include({ type: 'error', option: flag })
    }
  })
})
