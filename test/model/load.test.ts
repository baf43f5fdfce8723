import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeCheckpoint, copyAsBest } from '../../lib/checkpoint/checkpoint.js'
import { readSafetensors, readSafetensorsFile, writeSafetensors } from '../../lib/checkpoint/safetensors.js'
import type { SafeTensor } from '../../lib/checkpoint/safetensors.js'
import { loadModel } from '../../lib/model/load.js'
import type { LoadOptions } from '../../lib/model/load.js'
import type { Model } from '../../lib/model/model.js'
import { createModel } from '../../lib/model/registry.js'
import { temporaryFolder } from '../support/temp.js'
import { rejected } from '../support/thrown.js'

function expectSameWeights(a: Model, b: ReadonlyMap<string, Float32Array>): void {
  for (const [name, data] of a.weights()) expect(Buffer.from(data.buffer).equals(Buffer.from(b.get(name)!.buffer)), name).to.equal(true)
}

describe('saving and loading', () => {
  const folder = temporaryFolder()
  const path = (name: string) => join(folder(), name)
  const names = ['cat', 'dog', 'eel']
  const model = createModel('sknet_tiny_cifar', { classes: 3, branches: 3, seed: 9 })
  model.classNames = names
  model.preprocessing = { resize: 40, crop: 36, interpolation: 'bicubic', mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6] }

  /** A plain file as other tools write it: no metadata; `change` may change its tensors. */
  async function foreign(name: string, change: (tensors: Map<string, SafeTensor>) => void, of: Model = model): Promise<string> {
    const tensors = new Map<string, SafeTensor>(
      of.tensors().map(({ name: n, shape }) => [n, { dtype: 'F32', shape: [...shape], data: of.weights().get(n)! }]),
    )
    change(tensors)
    await writeSafetensors(path(name), tensors)
    return path(name)
  }

  for (const name of ['w.safetensors', 'folder']) {
    it(`keeps everything in ${name}`, async () => {
      await model.save(path(name), { names: 'timm' })
      const loaded = await loadModel(path(name))
      expectSameWeights(model, loaded.weights())
      expect(loaded.spec).to.deep.equal(model.spec)
      expect(loaded.classNames).to.deep.equal(names)
      expect(loaded.preprocessing).to.deep.equal(model.preprocessing)
      expect(loaded.label(1)).to.equal('dog')
      expect(loaded.report).to.deep.include({ path: path(name), missing: [], unexpected: [], reshaped: [], replaced: [] })
      expect(loaded.report!.loaded).to.have.length(model.tensors().length)
      // Over itself, and again the same bytes.
      await loaded.save(path(name))
      const file = name === 'folder' ? join(path(name), 'model.safetensors') : path(name)
      const bytes = readFileSync(file)
      await model.save(path(name))
      expect(readFileSync(file).equals(bytes)).to.equal(true)
    })
  }

  it('writes shapes and names of timm', async () => {
    const se = createModel('seresnext50_32x4d', { blocks: [1], classes: 10 })
    await se.save(path('se.safetensors'))
    const { metadata, tensors } = await readSafetensorsFile(path('se.safetensors'))
    expect(metadata.get('format')).to.equal('pt')
    expect(tensors.get('layer1.0.se.fc1.weight')!.shape).to.deep.equal([16, 256, 1, 1])
    expect(tensors.get('fc.weight')!.shape).to.deep.equal([10, 256])
  })

  it('writes a folder of three files, a new one in one step', async () => {
    await model.save(path('new/deep/folder'))
    expect(readdirSync(path('new/deep/folder')).sort()).to.deep.equal(['README.md', 'config.json', 'model.safetensors'])
    expect(readdirSync(path('new/deep'))).to.deep.equal(['folder'])
    const config = JSON.parse(readFileSync(path('new/deep/folder/config.json'), 'utf8')) as Record<string, unknown>
    expect(config).to.deep.include({
      format: 'sknet-model-folder-1',
      arch: 'sknet_tiny_cifar',
      classes: 3,
      classNames: names,
      spec: model.spec,
    })
  })

  it('reads a file of other tools by arch, without num_batches_tracked', async () => {
    const plain = createModel('sknet_tiny_cifar', { seed: 4 })
    const file = await foreign(
      'plain.safetensors',
      (t) => t.set('bn1.num_batches_tracked', { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) }),
      plain,
    )
    const loaded = await loadModel(file, { arch: 'sknet_tiny_cifar' })
    expectSameWeights(plain, loaded.weights())
    expect(loaded.report!.unexpected).to.deep.equal([])
  })

  it('converts f64, f16 and bf16, and takes a matrix for a 1x1 convolution', async () => {
    const file = await foreign(
      'types.safetensors',
      (t) => {
        t.set('conv1.weight', { ...t.get('conv1.weight')!, dtype: 'F64', data: new Float64Array(864).fill(0.1) })
        t.set('bn1.weight', { dtype: 'F16', shape: [32], data: new Uint16Array(32).fill(0x3e00) })
        t.set('bn1.bias', { dtype: 'BF16', shape: [32], data: new Uint16Array(32).fill(0xc040) })
        t.set('layer1.0.conv1.conv.weight', { ...t.get('layer1.0.conv1.conv.weight')!, shape: [32, 32] })
      },
      createModel('sknet_tiny_cifar'),
    )
    const loaded = await loadModel(file, { arch: 'sknet_tiny_cifar' })
    expect(loaded.weights().get('conv1.weight')![5]).to.equal(Math.fround(0.1))
    expect(loaded.weights().get('bn1.weight')![5]).to.equal(1.5)
    expect(loaded.weights().get('bn1.bias')![5]).to.equal(-3)
    expect(loaded.report!.reshaped).to.deep.equal([{ name: 'layer1.0.conv1.conv.weight', got: [32, 32], expected: [32, 32, 1, 1] }])
  })

  const tiny = () => createModel('sknet_tiny_cifar')
  const bad: [string, (t: Map<string, SafeTensor>) => void, LoadOptions, Record<string, unknown>][] = [
    ['no arch', () => undefined, {}, { code: 'ERR_SKNET_OPTION', option: 'arch' }],
    [
      'unknown arch',
      () => undefined,
      { arch: 'sknet_tiny' },
      { code: 'ERR_SKNET_OPTION', option: 'arch', hint: 'Did you mean sknet_tiny_cifar?' },
    ],
    ['unknown option', () => undefined, { archh: 'x' } as LoadOptions, { code: 'ERR_SKNET_OPTION', option: 'archh' }],
    [
      'a tensor missing',
      (t) => t.delete('bn1.bias'),
      { arch: 'sknet_tiny_cifar' },
      { code: 'ERR_SKNET_WEIGHTS', tensor: 'bn1.bias', got: 'missing' },
    ],
    [
      'a tensor too many',
      (t) => t.set('bn9.bias', { dtype: 'F32', shape: [1], data: new Float32Array(1) }),
      { arch: 'sknet_tiny_cifar' },
      { code: 'ERR_SKNET_WEIGHTS', tensor: 'bn9.bias', got: 'unexpected' },
    ],
    [
      'another shape',
      (t) => t.set('bn1.bias', { dtype: 'F32', shape: [4, 8], data: new Float32Array(32) }),
      { arch: 'sknet_tiny_cifar', strict: false },
      { code: 'ERR_SKNET_WEIGHTS', tensor: 'bn1.bias', expected: '32' },
    ],
    [
      'whole numbers',
      (t) => t.set('bn1.bias', { dtype: 'I32', shape: [32], data: new Int32Array(32) }),
      { arch: 'sknet_tiny_cifar' },
      { code: 'ERR_SKNET_FORMAT', tensor: 'bn1.bias', got: 'I32' },
    ],
    [
      'other classes',
      () => undefined,
      { arch: 'sknet_tiny_cifar', classes: 100 },
      { code: 'ERR_SKNET_WEIGHTS', tensor: 'fc.weight', expected: '100x256' },
    ],
    ['another network', () => undefined, { arch: 'sknet29_cifar' }, { code: 'ERR_SKNET_WEIGHTS', tensor: 'conv1.weight' }],
  ]
  for (const [what, change, options, expected] of bad) {
    it(`refuses ${what}`, async () => {
      const file = await foreign('bad.safetensors', change, tiny())
      const error = await rejected(() => loadModel(file, options))
      expect(error).to.include(expected)
      expect(error.message).to.be.a('string').with.length.below(700)
    })
  }

  it('reports what is missing and unexpected where that is allowed', async () => {
    const file = await foreign(
      'part.safetensors',
      (t) => {
        t.delete('bn1.bias')
        t.set('extra', { dtype: 'F32', shape: [1], data: new Float32Array(1) })
      },
      tiny(),
    )
    const { report } = await loadModel(file, { arch: 'sknet_tiny_cifar', strict: false })
    expect(report).to.deep.include({ missing: ['bn1.bias'], unexpected: ['extra'] })
  })

  it('takes the number of classes from the stored head', async () => {
    const other = createModel('sknet_tiny_cifar', { classes: 7, seed: 2 })
    const file = await foreign('seven.safetensors', () => undefined, other)
    const loaded = await loadModel(file, { arch: 'sknet_tiny_cifar' })
    expect(loaded.spec.classes).to.equal(7)
    expect(loaded.weights().get('fc.weight')).to.deep.equal(other.weights().get('fc.weight'))
  })

  it('replaces the head where asked to', async () => {
    await model.save(path('three.safetensors'))
    const error = await rejected(() => loadModel(path('three.safetensors'), { classes: 7 }))
    expect(error.hint).to.equal("Give classes: 3 to keep this head, or head: 'replace' (--replace-head) to start a new one")
    const loaded = await loadModel(path('three.safetensors'), { classes: 7, head: 'replace', seed: 5 })
    expect(loaded.spec.classes).to.equal(7)
    expect(loaded.classNames).to.equal(undefined)
    expect(loaded.report!.replaced).to.deep.equal(['fc.weight', 'fc.bias'])
    expect(loaded.weights().get('conv1.weight')).to.deep.equal(model.weights().get('conv1.weight'))
    const fresh = createModel('sknet_tiny_cifar', { classes: 7, branches: 3, seed: 5 }).weights()
    expect(Buffer.from(loaded.weights().get('fc.weight')!.buffer).equals(Buffer.from(fresh.get('fc.weight')!.buffer))).to.equal(true)
  })

  describe('a run', () => {
    const ema = () => new Map([...model.weights()].map(([name, data]) => [name, data.map((v) => v + 1)]))
    const content = (step: number, average: boolean) => ({
      spec: model.spec,
      tensors: model.tensors(),
      values: model.weights(),
      momentum: new Map<string, Float32Array>(),
      ema: average ? ema() : null,
      state: { step },
      config: { classNames: names, preprocessing: model.preprocessing },
    })

    it('gives the average of its newest whole checkpoint; the folder, the checkpoint and the best by name', async () => {
      const run = path('run')
      const old = await writeCheckpoint(join(run, 'checkpoints'), 1, content(1, false))
      const newer = await writeCheckpoint(join(run, 'checkpoints'), 2, content(2, true))
      writeFileSync(join(run, 'config.json'), '{}')
      await copyAsBest(old, run)
      for (const [name, weights] of [
        [run, ema()],
        [join(run, 'checkpoints'), ema()],
        [newer, ema()],
        [old, model.weights()],
        [join(run, 'best'), model.weights()],
      ] as const) {
        const loaded = await loadModel(name)
        expectSameWeights(loaded, weights)
        expect(loaded.classNames, name).to.deep.equal(names)
        expect(loaded.preprocessing).to.deep.equal(model.preprocessing)
      }
      rmSync(join(newer, 'state.json'))
      const { report } = await loadModel(run)
      expect(report!.path).to.equal(old)
      expect(report!.skipped.map((s) => s.path)).to.deep.equal([newer])
      expect(await rejected(() => loadModel(newer))).to.include({ code: 'ERR_SKNET_CHECKPOINT_INVALID', path: newer })
      rmSync(join(old, 'manifest.json'))
      expect((await rejected(() => loadModel(run))).code).to.equal('ERR_SKNET_CHECKPOINT_INVALID')
    })

    it('that has no checkpoint yet is refused, and so is any other folder', async () => {
      mkdirSync(path('early/checkpoints'), { recursive: true })
      for (const name of ['early', 'early/checkpoints', 'nothing']) {
        expect(await rejected(() => loadModel(path(name)))).to.include({ code: 'ERR_SKNET_WEIGHTS', exitCode: 3 })
      }
    })
  })

  it('notices a folder whose two files are of different models', async () => {
    await model.save(path('one'))
    await tiny().save(path('other'))
    cpSync(path('other/config.json'), path('one/config.json'))
    expect(await rejected(() => loadModel(path('one')))).to.include({ code: 'ERR_SKNET_FORMAT', path: path('one') })
    renameSync(path('one/model.safetensors'), path('one/x'))
    expect((await rejected(() => loadModel(path('one')))).code).to.equal('ERR_SKNET_WEIGHTS')
  })

  it('refuses a damaged spec, and a newer one', async () => {
    await model.save(path('spec'))
    const config = JSON.parse(readFileSync(path('spec/config.json'), 'utf8')) as { format: string }
    writeFileSync(path('spec/config.json'), JSON.stringify({ ...config, format: 'sknet-model-folder-2' }))
    expect((await rejected(() => loadModel(path('spec')))).hint).to.match(/upgrade sknet/)
    writeFileSync(path('spec/config.json'), '{')
    expect(await rejected(() => loadModel(path('spec')))).to.include({ code: 'ERR_SKNET_FORMAT', path: path('spec/config.json') })
  })

  it('needs no native core to read and summarise', () => {
    const script = `
      import { createModel } from './lib/model/registry.ts'
      import { native } from './lib/native.ts'
      console.log(createModel('sknet50').summary().params)
      try { native() } catch (error) { console.log(error.code, error.hint) }`
    const env = { ...process.env, PREBUILDS_ONLY: '1', npm_config_platform: 'none' }
    const out = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
      cwd: new URL('../..', import.meta.url),
      env,
      encoding: 'utf8',
    })
    expect(out).to.match(/^27479784\nERR_SKNET_NATIVE .*npm run build:native\n$/)
  })

  it('setWeights checks everything before it changes anything', async () => {
    const own = tiny()
    const before = own.weights().get('conv1.weight')!.slice()
    const all = new Map([...own.weights()].map(([name, data]) => [name, data.map(() => 0)]))
    const cases: [string, Map<string, unknown>, string][] = [
      ['missing', new Map([...all].slice(1)), 'conv1.weight'],
      ['unexpected', new Map([...all, ['fc.weigth', new Float32Array(1)]]), 'fc.weigth'],
      ['too short', new Map([...all, ['fc.bias', new Float32Array(9)]]), 'fc.bias'],
      ['no floats', new Map<string, unknown>([...all, ['fc.bias', new Float64Array(10)]]), 'fc.bias'],
    ]
    for (const [what, tensors, tensor] of cases) {
      const error = await rejected(() => own.setWeights(tensors as Map<string, Float32Array>))
      expect(error, what).to.include({ code: 'ERR_SKNET_WEIGHTS', tensor })
    }
    expect(own.weights().get('conv1.weight')).to.deep.equal(before)
    own.setWeights(all)
    expect(
      own
        .weights()
        .get('conv1.weight')!
        .every((v) => v === 0),
    ).to.equal(true)
    all.get('conv1.weight')!.fill(3)
    expect(own.weights().get('conv1.weight')![0], 'a copy').to.equal(0)
  })

  it('reads a file only once it is whole', async () => {
    await model.save(path('cut.safetensors'))
    const bytes = readFileSync(path('cut.safetensors'))
    writeFileSync(path('cut.safetensors'), bytes.subarray(0, bytes.length - 1))
    expect((await rejected(() => loadModel(path('cut.safetensors')))).code).to.equal('ERR_SKNET_FORMAT')
    expect((await readSafetensors(bytes)).size).to.equal(model.tensors().length)
  })
})
