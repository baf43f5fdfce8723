import { expect } from 'chai'
import { chmod, copyFile, mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cifarRecords, writeCifar } from './cifar-files.js'
import { sknet, start, temporaryFolder } from './cli.js'

const photos = fileURLToPath(new URL('../../../shared/data/photos/train/', import.meta.url))

describe('e2e: bad input and its exit codes', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()
  const at = (...parts: string[]): string => join(folder.path(), ...parts)
  const base = ['--model', 'sknet_tiny_cifar', '--recipe', 'cifar', '--epochs', '1', '--batch', '16', '--json']

  async function refused(args: string[], code: number, error: string, words: RegExp): Promise<Record<string, unknown>> {
    const outcome = await sknet(...args)
    expect(outcome.code, outcome.stderr).to.equal(code)
    expect(outcome.last).to.include({ type: 'error', code: error })
    expect(outcome.last.message).to.match(words)
    expect(outcome.stderr.trimEnd().split('\n').at(-1)).to.match(/^sknet: /)
    expect(outcome.stderr).to.not.match(/at .*\.ts:\d+/)
    return outcome.last
  }

  it('usage: 2', async () => {
    await refused(['trian', '--json'], 2, 'ERR_SKNET_OPTION', /Unknown command trian; did you mean sknet train\?/)
    await refused(['attention', '--json'], 2, 'ERR_SKNET_OPTION', /sknet attention is not in this version/)
    await refused(['train', '--epoch', '3', '--json'], 2, 'ERR_SKNET_OPTION', /Unknown option --epoch; did you mean --epochs\?/)
    await refused(['train', '--json'], 2, 'ERR_SKNET_OPTION', /needs --data/)
    const nothing = await sknet()
    expect(nothing.code).to.equal(2)
    expect(nothing.stderr).to.match(/^Usage: sknet COMMAND/)
    const help = await sknet('--help')
    expect(help.code).to.equal(0)
    expect(help.stdout)
      .to.match(/^ {2}train/m)
      .and.not.match(/attention/)
  })

  it('options: 2, with the path, what was got and what is expected', async () => {
    const data = await writeCifar(at('data'), { train: 32, val: 10 })
    const train = ['train', '--data', data, '--run', at('run'), ...base]
    expect(await refused([...train, '--lr', 'NaN'], 2, 'ERR_SKNET_OPTION', /optimizer\.lr is 'NaN'; expected a number above 0/)).to.include(
      {
        option: 'optimizer.lr',
      },
    )
    await refused([...train, '--set', 'optimizer.lrr=1'], 2, 'ERR_SKNET_OPTION', /did you mean optimizer\.lr\?/)
    await refused([...train, '--recipe', 'lagre'], 2, 'ERR_SKNET_OPTION', /recipe is 'lagre'.*Did you mean large\?/)
    await refused([...train, '--model', 'sknet51'], 2, 'ERR_SKNET_OPTION', /Unknown model "sknet51"/)
    await refused([...train, '--device', 'cuda:99'], 2, 'ERR_SKNET_DEVICE', /cannot be used/)
    await refused([...train, '--precision', 'fp16'], 2, 'ERR_SKNET_OPTION', /precision is 'fp16'.*fp32 or bf16/)
    await refused([...train, '--devices', '2'], 2, 'ERR_SKNET_OPTION', /not in this version/)
    await refused([...train, '--batch', '64'], 2, 'ERR_SKNET_OPTION', /A batch has 64 images and the training set only 32/)
    await refused([...train, '--set', 'shardSize=5'], 2, 'ERR_SKNET_OPTION', /no multiple of shardSize 5/)
    await refused([...train, '--set', 'shardSize=1'], 2, 'ERR_SKNET_OPTION', /shardSize is 1/)
    await refused([...train, '--max-steps', '0'], 2, 'ERR_SKNET_OPTION', /max-steps is 0/)
    await refused([...train, '--config', at('missing.json')], 2, 'ERR_SKNET_OPTION', /missing\.json cannot be read/)
    await writeFile(at('bad.json'), '{"epochs": "3"}')
    await refused([...train, '--config', at('bad.json')], 2, 'ERR_SKNET_OPTION', /epochs is '3'; expected a whole number/)
    expect(await readdir(folder.path())).to.not.include('run')
  })

  it('data: 3', async () => {
    const train = (data: string): string[] => ['train', '--data', data, ...base]
    await refused(train(at('nowhere')), 3, 'ERR_SKNET_DATA', /nowhere/)
    await mkdir(at('empty'))
    await refused(train(at('empty')), 3, 'ERR_SKNET_DATA', /empty/)
    await writeCifar(at('short'), { train: 32, val: 10 })
    await writeFile(at('short', 'data_batch_1.bin'), cifarRecords(32, 1).subarray(0, 3073 * 31 + 100))
    await refused(train(at('short')), 3, 'ERR_SKNET_DATA', /data_batch_1\.bin/)
    const wrong = cifarRecords(32, 1)
    wrong[3073 * 7] = 11
    await writeFile(at('short', 'data_batch_1.bin'), wrong)
    await refused(train(at('short')), 3, 'ERR_SKNET_DATA', /image 7 has the label 11/)
    await mkdir(at('folder', 'train', 'cat'), { recursive: true })
    await refused(train(at('folder')), 3, 'ERR_SKNET_DATA', /cat/)
    await writeFile(at('junk.safetensors'), 'not a tensor in sight')
    const outcome = await sknet('predict', '--weights', at('junk.safetensors'), '--arch', 'sknet_tiny_cifar', 'x.jpg', '--json')
    expect(outcome.code).to.equal(3)
  })

  it('divergence: 4, after a checkpoint of the last good state', async () => {
    const data = await writeCifar(at('data'), { train: 160, val: 0 })
    const args = ['train', '--data', data, '--run', at('run'), ...base, '--lr', '1e6', '--set', 'schedule.warmupEpochs=0']
    await refused(args, 4, 'ERR_SKNET_DIVERGED', /diverged: loss/)
    expect(await readdir(at('run', 'checkpoints'))).to.have.length(1)
    expect((await sknet('verify', at('run'), '--json')).code).to.equal(0)
  })

  it('a run folder that cannot be written: 7, before a step', async function () {
    const data = await writeCifar(at('data'), { train: 32, val: 10 })
    await writeFile(at('file'), '')
    await refused(['train', '--data', data, '--run', at('file', 'run'), ...base], 7, 'ERR_SKNET_CHECKPOINT_IO', /cannot be written/)
  })

  it('a checkpoint cut short: passed over with a warning, by train and by eval', async () => {
    const data = await writeCifar(at('data'), { train: 32, val: 10 })
    const train = ['train', '--data', data, '--run', at('run'), ...base, '--set', 'checkpoint.every=1']
    expect((await sknet(...train)).code).to.equal(0)
    const cut = at('run', 'checkpoints', 'step-00000002')
    await truncate(join(cut, 'model.safetensors'), 1000)
    const judged = await sknet('eval', '--weights', at('run'), '--data', data, '--json')
    expect(judged.code).to.equal(0)
    expect(judged.stderr).to.include(`warning: ${cut} was skipped: model.safetensors has 1000 bytes`)
    const resumed = await sknet(...train)
    expect(resumed.code).to.equal(0)
    expect(resumed.events.find(({ type }) => type === 'warning')).to.include({ about: 'checkpoint-skipped', path: cut })
    expect(resumed.events[0]!.resumed).to.include({ step: 1 })
    expect((await sknet('verify', at('run'), '--json')).last).to.include({ ok: true })
  })

  it('a run that another process is working on: 2; after a kill it goes on', async () => {
    const data = await writeCifar(at('data'), { train: 64, val: 10 })
    const train = ['train', '--data', data, '--run', at('run'), ...base, '--epochs', '1000', '--set', 'checkpoint.every=1']
    const first = start(train)
    await first.seen(({ type }) => type === 'checkpoint')
    await refused(train, 2, 'ERR_SKNET_RUN', new RegExp(`in use by process ${first.child.pid}`))
    await refused([...train, '--fresh'], 2, 'ERR_SKNET_RUN', /in use/)
    first.child.kill('SIGKILL')
    await first.done
    const second = start(train)
    expect((await second.seen(({ type }) => type === 'start')).resumed)
      .to.have.property('step')
      .above(0)
    second.child.kill('SIGTERM')
    expect((await second.done).code).to.equal(143)
    expect(await readdir(at('run'))).to.not.include('.lock')
  })

  it('checkpoints none of which is whole: 7, and --fresh helps', async () => {
    const data = await writeCifar(at('data'), { train: 32, val: 10 })
    const train = ['train', '--data', data, '--run', at('run'), ...base]
    expect((await sknet(...train)).code).to.equal(0)
    for (const name of await readdir(at('run', 'checkpoints'))) await rm(at('run', 'checkpoints', name, 'state.json'))
    await refused(train, 7, 'ERR_SKNET_CHECKPOINT_INVALID', /None of the .* checkpoints of the run is whole/)
    expect((await sknet(...train, '--fresh')).code).to.equal(0)
  })

  it('images that do not decode: told with path and reason, replaced, counted, and too many of them: 3', async function () {
    if (!existsSync(photos)) this.skip()
    for (const name of ['cat', 'dog']) {
      await mkdir(at('data', 'train', name), { recursive: true })
      for (const file of (await readdir(join(photos, name))).slice(0, 6))
        await copyFile(join(photos, name, file), at('data', 'train', name, file))
    }
    await writeFile(at('data', 'train', 'cat', 'broken.jpg'), 'not a picture')
    const args = [
      'train',
      '--data',
      at('data'),
      ...base,
      '--batch',
      '4',
      '--set',
      'data.augment=light',
      '--set',
      'data.size=32',
      '--run',
      at('run'),
    ]
    const outcome = await sknet(...args)
    expect(outcome.code, outcome.stderr).to.equal(0)
    const warnings = outcome.events.filter(({ type }) => type === 'warning')
    expect(warnings).to.have.length(1)
    expect(warnings[0]).to.include({ about: 'bad-sample', path: at('data', 'train', 'cat', 'broken.jpg') })
    expect(warnings[0]!.reason).to.be.a('string').and.not.equal('')
    expect(outcome.last).to.include({ badSamples: 1, classes: 2 })
    const epochs = outcome.events.filter(({ type }) => type === 'epoch')
    expect(epochs.flatMap((e) => e.badSamples as unknown[])).to.deep.equal([
      { path: warnings[0]!.path, reason: warnings[0]!.reason, split: 'train' },
    ])
    expect(epochs[0]!.waitShare).to.be.within(0, 1)
    await refused([...args, '--fresh', '--set', 'data.badSampleBudget=0'], 3, 'ERR_SKNET_BAD_SAMPLES', /broken\.jpg/)
  })

  it('a checkpoint folder that became read-only: 7', async function () {
    if (process.getuid?.() === 0) this.skip()
    const data = await writeCifar(at('data'), { train: 32, val: 10 })
    await mkdir(at('run', 'checkpoints'), { recursive: true })
    await chmod(at('run'), 0o500)
    try {
      await refused(['train', '--data', data, '--run', at('run'), ...base], 7, 'ERR_SKNET_CHECKPOINT_IO', /cannot be written/)
    } finally {
      await chmod(at('run'), 0o700)
    }
  })
})
