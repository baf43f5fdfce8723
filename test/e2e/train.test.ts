import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createModel } from '../../lib/model/registry.js'
import { writeCifar } from './cifar-files.js'
import { sknet, start, temporaryFolder } from './cli.js'

/** Ten steps an epoch of 16 small images, three epochs: less than a second of training. */
const OPTIONS = [
  '--model',
  'sknet_tiny_cifar',
  '--recipe',
  'cifar',
  '--epochs',
  '3',
  '--batch',
  '16',
  '--lr',
  '0.05',
  '--seed',
  '3',
  '--json',
]

const sha256 = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')

async function finalWeights(run: string): Promise<string> {
  const newest = (await readdir(join(run, 'checkpoints'))).sort().at(-1)!
  return sha256(join(run, 'checkpoints', newest, 'model.safetensors'))
}

async function epochsOf(run: string): Promise<string[]> {
  const lines = (await readFile(join(run, 'results.csv'), 'utf8')).trimEnd().split('\n').slice(1)
  return lines.map((line) => line.split(',')[0]!)
}

describe('e2e: train', function () {
  this.timeout(180_000)
  const folder = temporaryFolder()
  let line: (run: string, ...more: string[]) => string[]

  beforeEach(async () => {
    const data = await writeCifar(join(folder.path(), 'data'), { train: 160, val: 50 })
    line = (run, ...more) => ['train', '--data', data, '--run', join(folder.path(), run), ...OPTIONS, ...more]
  })

  it('trains, tells every step and epoch, and ends with the result', async () => {
    const outcome = await sknet(...line('a'))
    expect(outcome.stderr).to.include('finished: 3 epochs, 30 steps')
    expect(outcome.code).to.equal(0)
    const types = outcome.events.map(({ type }) => type)
    expect(types[0]).to.equal('start')
    expect(types.filter((type) => type === 'step')).to.have.length(30)
    expect(types.filter((type) => type === 'epoch')).to.have.length(3)
    expect(types.at(-1)).to.equal('result')
    expect(outcome.last).to.include({ model: 'sknet_tiny_cifar', params: 320874, classes: 10, epochs: 3, steps: 30, stopped: null })
    expect(outcome.last.top1).to.be.within(0, 1)
    expect(outcome.last.top5).to.be.at.least(outcome.last.top1 as number)
    expect(outcome.last.best).to.have.keys('top1', 'epoch')
    expect((await readdir(join(folder.path(), 'a'))).sort()).to.deep.equal([
      'best',
      'checkpoints',
      'config.json',
      'env.json',
      'events.ndjson',
      'results.csv',
    ])
    expect(await readdir(join(folder.path(), 'a', 'checkpoints'))).to.have.length(2)
    expect(await epochsOf(join(folder.path(), 'a'))).to.deep.equal(['1', '2', '3'])

    const again = await sknet(...line('a'))
    expect(again.code).to.equal(0)
    expect(again.events.map(({ type }) => type)).to.deep.equal(['start', 'end', 'result'])
    expect(again.last).to.deep.equal(outcome.last)
  })

  it('killed at any moment and started again, ends with the same bits as a run that was not', async () => {
    expect((await sknet(...line('whole'))).code).to.equal(0)
    const expected = await finalWeights(join(folder.path(), 'whole'))
    const often = ['--set', 'checkpoint.every=4']
    expect((await sknet(...line('often', ...often))).code).to.equal(0)
    expect(await finalWeights(join(folder.path(), 'often'))).to.equal(expected)

    for (const at of [6, 17, 29]) {
      const running = start(line('killed', ...often))
      await running.seen((event) => event.type === 'step' && (event.step as number) >= at)
      running.child.kill('SIGKILL')
      expect((await running.done).signal).to.equal('SIGKILL')
    }
    const rest = await sknet(...line('killed', ...often))
    expect(rest.code).to.equal(0)
    expect(rest.events[0]!.resumed).to.have.property('step').that.is.at.least(16)
    expect(await finalWeights(join(folder.path(), 'killed'))).to.equal(expected)
    expect(await epochsOf(join(folder.path(), 'killed'))).to.deep.equal(['1', '2', '3'])
    expect(await sha256(join(folder.path(), 'killed', 'best', 'model.safetensors'))).to.equal(
      await sha256(join(folder.path(), 'whole', 'best', 'model.safetensors')),
    )
  })

  it('stopped by --max-steps, exits 0, and goes on to the same bits; on other numbers of threads too', async () => {
    expect((await sknet(...line('whole', '--threads', '1'))).code).to.equal(0)
    const part = await sknet(...line('part', '--max-steps', '13', '--threads', '2'))
    expect(part.code).to.equal(0)
    expect(part.last).to.include({ type: 'result', steps: 13, epochs: 1, stopped: 'maxSteps' })
    expect(part.last.checkpoint).to.match(/step-00000013$/)
    const again = await sknet(...line('part', '--max-steps', '13'))
    expect(again.last).to.include({ steps: 13, stopped: 'maxSteps' })
    expect((await sknet(...line('part', '--threads', '3'))).code).to.equal(0)
    expect(await finalWeights(join(folder.path(), 'part'))).to.equal(await finalWeights(join(folder.path(), 'whole')))
  })

  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    it(`${signal} writes a checkpoint and exits ${code}`, async () => {
      const running = start(line('run'))
      await running.seen((event) => event.type === 'step' && (event.step as number) >= 3)
      running.child.kill(signal)
      const outcome = await running.done
      expect(outcome.code).to.equal(code)
      expect(outcome.last).to.include({ type: 'result', stopped: signal })
      const steps = outcome.last.steps as number
      expect(steps).to.be.within(3, 29)
      expect(await readdir(join(folder.path(), 'run', 'checkpoints'))).to.include(`step-${String(steps).padStart(8, '0')}`)
      const verified = await sknet('verify', join(folder.path(), 'run'), '--json')
      expect(verified.code).to.equal(0)
      expect(verified.last).to.include({ ok: true })
    })
  }

  it('a reader that goes away stops it like SIGTERM', async () => {
    const running = start(line('run'))
    await running.seen(({ type }) => type === 'step')
    running.child.stdout!.destroy()
    const outcome = await running.done
    expect(outcome.code).to.equal(143)
    expect(outcome.stderr).to.match(/saved in/)
    expect((await sknet('verify', join(folder.path(), 'run'), '--json')).last).to.include({ ok: true })
  })

  it('without a run folder warns that nothing is kept', async () => {
    const args = line('unused', '--max-steps', '1')
    args.splice(args.indexOf('--run'), 2)
    const outcome = await sknet(...args)
    expect(outcome.code).to.equal(0)
    expect(outcome.stderr).to.match(/^warning: without --run nothing of this training is kept$/m)
    expect(outcome.last).to.include({ run: null, checkpoint: null })
  })

  it('passes over a checkpoint that was cut short, says so, and goes on from the one before', async () => {
    expect((await sknet(...line('whole'))).code).to.equal(0)
    expect((await sknet(...line('run', '--max-steps', '25'))).code).to.equal(0)
    const run = join(folder.path(), 'run')
    const cut = join(run, 'checkpoints', 'step-00000025', 'model.safetensors')
    await writeFile(cut, (await readFile(cut)).subarray(0, 1000))
    const verified = await sknet('verify', run, '--json')
    expect(verified.code).to.equal(7)
    expect(verified.last).to.include({ ok: false })
    const rest = await sknet(...line('run'))
    expect(rest.code).to.equal(0)
    expect(rest.stderr).to.match(/warning: .*step-00000025 was skipped: model\.safetensors/)
    expect(rest.events[0]!.resumed).to.include({ step: 20 })
    expect(await finalWeights(run)).to.equal(await finalWeights(join(folder.path(), 'whole')))
  })

  it('refuses to go on with other options, naming them, unless told to start anew', async () => {
    expect((await sknet(...line('run', '--max-steps', '4'))).code).to.equal(0)
    const other = await sknet(...line('run', '--lr', '0.2', '--set', 'optimizer.weightDecay=0'))
    expect(other.code).to.equal(2)
    expect(other.last).to.include({ type: 'error', code: 'ERR_SKNET_RUN' })
    expect(other.stderr).to.match(/optimizer\.lr was 0\.05 and is 0\.2; optimizer\.weightDecay was 0\.0005 and is 0/)
    const fresh = await sknet(...line('run', '--lr', '0.2', '--fresh', '--max-steps', '2'))
    expect(fresh.code).to.equal(0)
    expect(fresh.events[0]!.resumed).to.equal(null)
    expect(await readdir(join(folder.path(), 'run', 'checkpoints'))).to.deep.equal(['step-00000002'])
  })

  it('keeps the average of the weights, and judges by it', async () => {
    const outcome = await sknet(...line('ema', '--set', 'ema.decay=0.9'))
    expect(outcome.code).to.equal(0)
    const epoch = outcome.events.findLast(({ type }) => type === 'epoch')!
    expect(epoch.raw).to.have.keys('top1', 'top5', 'loss')
    const judged = await sknet('eval', '--weights', join(folder.path(), 'ema'), '--data', join(folder.path(), 'data'), '--json')
    expect(judged.code).to.equal(0)
    expect(judged.last).to.include({ top1: epoch.top1, images: 50 })
    expect(judged.last.loss).to.be.closeTo(epoch.valLoss as number, 1e-6)
    expect(epoch.valLoss).to.not.equal((epoch.raw as { loss: number }).loss)
  })

  it('its weights evaluate to what the run said', async () => {
    const outcome = await sknet(...line('run'))
    const args = ['--weights', join(folder.path(), 'run'), '--data', join(folder.path(), 'data'), '--json']
    for (const batch of ['7', '64']) {
      const judged = await sknet('eval', ...args, '--batch', batch)
      expect(judged.code).to.equal(0)
      expect(judged.last).to.include({ type: 'result', top1: outcome.last.top1, top5: outcome.last.top5, images: 50 })
      expect(judged.last.loss).to.be.closeTo(outcome.last.valLoss as number, 1e-6)
    }
  })

  it('prints what it would do, and does nothing', async () => {
    const outcome = await sknet(...line('dry', '--dry-run'))
    expect(outcome.code).to.equal(0)
    expect(outcome.last).to.include({ type: 'result', dryRun: true, totalSteps: 30, stepsPerEpoch: 10 })
    expect(outcome.last.memory).to.have.property('total').that.is.above(1e6)
    expect(await readdir(folder.path())).to.deep.equal(['data'])
  })

  it('repeats a run from its config.json', async () => {
    expect((await sknet(...line('first', '--set', 'data.augment=none'))).code).to.equal(0)
    const config = join(folder.path(), 'first', 'config.json')
    const second = await sknet('train', '--config', config, '--run', join(folder.path(), 'second'), '--json')
    expect(second.code).to.equal(0)
    expect(await finalWeights(join(folder.path(), 'second'))).to.equal(await finalWeights(join(folder.path(), 'first')))
  })

  it('starts from given weights', async () => {
    expect((await sknet(...line('first'))).code).to.equal(0)
    const second = await sknet(...line('second', '--init', join(folder.path(), 'first'), '--lr', '0.001', '--max-steps', '1'))
    expect(second.code).to.equal(0)
    const [before, after] = [await sknet(...line('fresh', '--max-steps', '1')), second].map(({ last }) => last.loss as number)
    expect(after).to.be.below(before!)
  })

  it('replaces a head only where asked to', async () => {
    const weights = join(folder.path(), 'three.safetensors')
    await createModel('sknet_tiny_cifar', { classes: 3 }).save(weights)
    const asked = line('second', '--init', weights, '--max-steps', '1')
    const refused = await sknet(...asked)
    expect(refused.code).to.equal(3)
    expect(refused.stderr).to.include('fc.weight is 3x256; expected 10x256').and.include('--replace-head')
    expect((await sknet(...asked, '--replace-head')).code).to.equal(0)
    expect((await sknet(...line('third', '--replace-head', '--max-steps', '1'))).code).to.equal(2)
  })
})
