import { expect } from 'chai'
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeCifar } from './cifar-files.js'
import { sknet, temporaryFolder, start } from './cli.js'

const photo = fileURLToPath(new URL('../../../shared/data/photos/train/dog/', import.meta.url))

describe('e2e: commands', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()

  it('demo stops after --max-steps with a checkpoint, and resumes where --run is given', async () => {
    const run = join(folder.path(), 'demo')
    const first = await sknet('demo', '--max-steps', '3', '--seed', '1', '--run', run, '--json')
    expect(first.code).to.equal(0)
    expect(first.last).to.include({ type: 'result', model: 'sknet_tiny_cifar', params: 320874, steps: 3, stopped: 'maxSteps' })
    expect(await readdir(join(run, 'checkpoints'))).to.deep.equal(['step-00000003'])
    const second = await sknet('demo', '--max-steps', '5', '--seed', '1', '--run', run, '--json')
    expect(second.events[0]!.resumed).to.include({ step: 3 })
    expect(second.last.steps).to.equal(5)
  })

  it('demo without --run starts anew each time in runs/demo, and says what to do next', async () => {
    for (let i = 0; i < 2; i++) {
      const outcome = await start(['demo', '--max-steps', '1'], { cwd: folder.path() }).done
      expect(outcome.code).to.equal(0)
      expect(outcome.stdout)
        .to.match(/stopped after step 1 of/)
        .and.match(/What next/)
      expect(outcome.stdout).to.not.match(/going on/)
    }
    expect(await readdir(folder.path())).to.deep.equal(['runs'])
  })

  it('summary counts parameters and MACs', async () => {
    const outcome = await sknet('summary', 'sknet50', '--json')
    expect(outcome.code).to.equal(0)
    expect(outcome.last).to.include({ type: 'result', params: 27479784, macs: 4462710784 })
    expect(outcome.last.layers).to.be.an('array').with.length.above(50)
    expect((await sknet('summary', 'sknet_tiny_cifar', '--classes', '100', '--size', '64', '--json')).last).to.include({ classes: 100 })
  })

  it('lr-find suggests a rate and keeps nothing', async () => {
    const data = await writeCifar(join(folder.path(), 'lr-data'), { train: 64, val: 10 })
    const args = [
      'lr-find',
      '--data',
      data,
      '--model',
      'sknet_tiny_cifar',
      '--batch',
      '16',
      '--steps',
      '12',
      '--min',
      '1e-4',
      '--max',
      '0.1',
    ]
    const outcome = await sknet(...args, '--json')
    expect(outcome.code).to.equal(0)
    expect(outcome.last).to.include({ type: 'result', model: 'sknet_tiny_cifar', diverged: false })
    expect(outcome.last.points).to.be.an('array').with.length(12)
    expect(outcome.stderr).to.match(/suggested learning rate|nothing to suggest/)
    expect((await sknet(...args.slice(0, 3), '--json')).code).to.equal(2)
  })

  it('doctor reports the machine', async () => {
    const outcome = await sknet('doctor', '--json')
    expect(outcome.code).to.equal(0)
    expect(outcome.last).to.include({ type: 'result', node: process.version })
    expect(outcome.last.addon).to.include({ loaded: true })
    expect(outcome.last.cpu).to.include.keys('model', 'threads', 'features', 'isa', 'isaInUse')
    const devices = outcome.last.devices as { name: string; available: boolean; reason: string | null }[]
    expect(devices[0]).to.include({ name: 'cpu', available: true })
    for (const { name, available, reason } of devices.slice(1)) expect(available, `${name}: ${reason}`).to.equal(reason === null)
    expect(devices.map(({ name }) => name.split(/[:-]/)[0])).to.include('cuda')
    expect(outcome.stderr).to.match(/native core/)
    // Where the plugin was built: each library with its place and version, or the reason why there is none.
    for (const library of outcome.last.libraries as {
      name: string
      path: string | null
      version: string | null
      reason: string | null
    }[]) {
      expect(library.name).to.match(/^(cuDNN|cuBLASLt|NCCL)$/)
      expect(library.reason === null ? library.version : library.reason).to.match(/\d|not found|Install/)
    }
  })

  for (const mode of ['train', 'infer']) {
    it(`bench measures ${mode}`, async () => {
      const args = [
        'bench',
        '--model',
        'sknet_tiny_cifar',
        '--batch',
        '4',
        '--size',
        '16',
        '--mode',
        mode,
        '--steps',
        '3',
        '--warmup',
        '1',
        '--threads',
        '1',
        '--json',
      ]
      const { code, last } = await sknet(...args)
      expect(code).to.equal(0)
      expect(last).to.include({ type: 'result', mode, batch: 4, size: 16, threads: 1, peakDeviceMiB: null })
      expect(last.imagesPerSecond).to.be.closeTo(4 / (last.secondsMedian as number), 1e-6)
      expect(last.peakRssMiB).to.be.above(20)
      expect(last.flopsPerSecond).to.be.above(1e6)
    })
  }

  it('explain lists the steps of a plan and who runs them', async () => {
    const outcome = await sknet('explain', 'sknet_tiny_cifar', '--batch', '4', '--size', '16', '--json')
    expect(outcome.code).to.equal(0)
    const steps = outcome.last.steps as { phase: string; candidate: string; op: string }[]
    expect(steps.map(({ phase }) => phase)).to.include.members(['forward', 'backward'])
    for (const { candidate, op } of steps) expect(candidate, op).to.be.a('string').and.not.equal('')
    expect(outcome.stderr).to.match(/candidate/)
  })

  it('predict lists the likeliest classes of a picture, and the logits where asked', async function () {
    if (!existsSync(photo)) this.skip()
    const run = join(folder.path(), 'run')
    expect((await sknet('demo', '--max-steps', '1', '--run', run, '--json')).code).to.equal(0)
    const images = (await readdir(photo)).slice(0, 2).map((name) => join(photo, name))
    const { code, last, stderr } = await sknet('predict', '--weights', run, ...images, '--topk', '3', '--logits', '--json')
    expect(code, stderr).to.equal(0)
    const predictions = last.predictions as { path: string; top: { index: number; label: string; score: number }[]; logits: number[] }[]
    expect(predictions.map(({ path }) => path)).to.deep.equal(images)
    for (const { top, logits } of predictions) {
      expect(top).to.have.length(3)
      expect(logits).to.have.length(10)
      expect(top[0]!.index).to.equal(logits.indexOf(Math.max(...logits)))
      expect(top[0]!.label).to.match(/texture/)
    }
    const bad = await sknet('predict', '--weights', run, join(folder.path(), 'missing.jpg'), '--json')
    expect(bad.code).to.equal(3)
    expect(bad.last).to.include({ type: 'error' })
  })

  it('eval counts a folder of some classes as the model does', async function () {
    if (!existsSync(photo)) this.skip()
    const photos = join(photo, '..', '..')
    const run = join(folder.path(), 'run')
    const options = ['--batch', '4', '--max-steps', '1', '--set', 'data.size=32', '--run', run]
    const trained = await sknet('train', '--data', photos, '--model', 'sknet_tiny_cifar', '--recipe', 'light', ...options, '--json')
    expect(trained.code, trained.stderr).to.equal(0)
    const weights = ['--weights', run]
    // One picture a class, in a folder that lacks the classes before `dog` and has one named like a split.
    const lossOf = async (...classes: string[]): Promise<number> => {
      const data = join(folder.path(), classes.join('-'))
      for (const name of classes) {
        const [file] = (await readdir(join(photos, 'val', name))).sort()
        await cp(join(photos, 'val', name, file!), join(data, name, file!))
      }
      const { code, last, stderr } = await sknet('eval', ...weights, '--data', data, '--json')
      expect(code, stderr).to.equal(0)
      expect(last.images).to.equal(classes.length)
      return (last.loss as number) * classes.length
    }
    const all = ['bird', 'bus', 'car', 'cat', 'chair', 'dog', 'train']
    const [whole, first, rest] = [await lossOf(...all), await lossOf(...all.slice(0, 5)), await lossOf('dog', 'train')]
    expect(first + rest).to.be.closeTo(whole, 1e-4)
    await mkdir(join(folder.path(), 'alien', 'thing'), { recursive: true })
    await cp(join(folder.path(), 'dog-train', 'dog'), join(folder.path(), 'alien', 'thing'), { recursive: true })
    const alien = await sknet('eval', ...weights, '--data', join(folder.path(), 'alien'))
    expect(alien.stderr).to.match(/shares no class name with the model/)
  })

  it('verify wants a run', async () => {
    const outcome = await sknet('verify', folder.path(), '--json')
    expect(outcome.code).to.equal(2)
    expect(outcome.last).to.include({ code: 'ERR_SKNET_RUN' })
  })
})
