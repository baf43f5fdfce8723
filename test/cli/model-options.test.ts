// `--set model.*`: a network's own options on the command line, kept with the run.
import { expect } from 'chai'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadModel } from '../../lib/model/load.js'
import { createModel } from '../../lib/model/registry.js'
import { writeCifar } from '../e2e/cifar-files.js'
import { rejected } from '../support/thrown.js'
import { runCommand } from './run-command.js'

/** The rows of the ablation on CIFAR-10 (docs/ablation.md): options, parameters, MACs. */
const rows: [settings: string[], options: object, params: number, macs: number][] = [
  [['model.branches=1', 'model.attention=false'], { branches: 1, attention: false }, 249_898, 42_568_192],
  [[], {}, 320_874, 49_667_584],
  [['model.branches=3'], { branches: 3 }, 377_322, 56_752_640],
  [['model.attention=false'], { attention: false }, 299_178, 49_646_080],
]

const flags = (settings: readonly string[]) => settings.flatMap((setting) => ['--set', setting])

describe('--set model.*', () => {
  let dir: string
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sknet-set-'))
    await writeCifar(dir, { train: 64, val: 16 })
  })
  after(() => rmSync(dir, { recursive: true, force: true }))
  const train = (...rest: string[]) =>
    runCommand('train', '--data', dir, '--model', 'sknet_tiny_cifar', '--recipe', 'cifar', '--batch', '16', '--epochs', '2', ...rest)

  for (const [settings, options, params, macs] of rows) {
    it(`summary, explain and train build: ${settings.join(' ') || 'the plain network'}`, async () => {
      const summary = await runCommand('summary', 'sknet_tiny_cifar', ...flags(settings))
      expect(summary.last).to.include({ params, macs })
      const dry = await train(...flags(settings), '--dry-run')
      expect(dry.last).to.include({ dryRun: true, params })
      const explained = await runCommand('explain', 'sknet_tiny_cifar', '--batch', '2', ...flags(settings))
      expect(explained.code).to.equal(0)
      expect(createModel('sknet_tiny_cifar', options).params).to.equal(params)
    })
  }

  it('takes lists and text', async () => {
    const branches = '[{"kernel":3},{"kernel":5,"groups":16}]'
    const { last } = await runCommand('summary', 'sknet_tiny_cifar', '--set', `model.branches=${branches}`, '--set', 'model.unit=sk')
    expect(last.params).to.equal(createModel('sknet_tiny_cifar', { branches: [{ kernel: 3 }, { kernel: 5, groups: 16 }] }).params)
  })

  it('is kept with the run: resumed, evaluated, repeated from its config.json, started from', async () => {
    const run = join(dir, 'run')
    const set = flags(['model.branches=3', 'model.blocks=[1,1]'])
    const options = { branches: 3, blocks: [1, 1] }
    expect((await train(...set, '--run', run, '--max-steps', '4')).code).to.equal(0)
    const config = JSON.parse(readFileSync(join(run, 'config.json'), 'utf8')) as Record<string, unknown>
    expect(config).to.deep.include({ model: 'sknet_tiny_cifar', modelOptions: options })
    const resumed = await train(...set, '--run', run)
    expect(resumed.code).to.equal(0)
    const other = await train('--run', run)
    expect(other.code, 'another network in the same run').to.equal(2)
    const again = await runCommand('train', '--config', join(run, 'config.json'), '--run', join(dir, 'again'))
    expect(again.last.loss).to.equal(resumed.last.loss)
    expect((await loadModel(run)).params).to.equal(createModel('sknet_tiny_cifar', options).params)
    expect((await loadModel(run, { arch: 'sknet_tiny_cifar', options })).report?.missing).to.deep.equal([])
    expect(await rejected(() => loadModel(run, { options }))).to.include({ code: 'ERR_SKNET_OPTION', option: 'options' })
    expect((await runCommand('eval', '--weights', run, '--data', dir)).code).to.equal(0)
    expect((await train(...set, '--init', run, '--dry-run')).code).to.equal(0)
    expect((await train('--init', run, '--set', 'model.branches=2', '--dry-run')).code, 'weights of another network').to.equal(3)
  })

  const bad: [string[], RegExp][] = [
    [['model.branchs=3'], /Unknown option branchs.*Did you mean branches/],
    [['model.branches=0'], /branches is 0/],
    [['model.attention=no'], /attention is 'no'/],
    [['model.branches'], /has no value/],
    [['model.=3'], /has no value/],
    [['model.classes=5'], /model.classes cannot be set: they follow the data/],
    [['model.seed=5'], /model.seed cannot be set: --seed sets it/],
  ]
  for (const [settings, message] of bad) {
    it(`refuses ${settings.join(' ')}`, async () => {
      const { code, last, text } = await train(...flags(settings), '--dry-run')
      expect(code).to.equal(2)
      expect(text + JSON.stringify(last)).to.match(message)
    })
  }

  it('refuses options of the training where there is none, and options that are no object', async () => {
    expect((await runCommand('summary', 'sknet50', '--set', 'optimizer.lr=1')).code).to.equal(2)
    const config = join(dir, 'bad.json')
    writeFileSync(config, JSON.stringify({ modelOptions: 3 }))
    expect((await train('--config', config, '--dry-run')).code).to.equal(2)
  })
})
