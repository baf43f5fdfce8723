import { expect } from 'chai'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { opNames } from '../../lib/cli/bench-layers.js'
import { rgbPng } from '../data/make-png.js'
import { writeCifar } from '../e2e/cifar-files.js'
import { hasEmulatedDevice } from '../support/devices.js'
import { runCommand } from './run-command.js'

interface Planned {
  op: string
  phase: string
  candidate: string
  seconds: number
  flops: number
  bytes: number
  flopsPerSecond: number | null
}

const small = ['--batch', '2', '--size', '6', '--threads', '1', '--steps', '3', '--warmup', '1']

describe('bench --op', () => {
  for (const op of opNames) {
    it(`${op}: forward and backward by the steps of its plan`, async () => {
      const { code, last, text } = await runCommand('bench', '--op', op, '--channels', '64', ...small)
      expect(code, text).to.equal(0)
      expect(last).to.include({ type: 'result', op, mode: 'train', batch: 2, size: 6, channels: 64, threads: 1, steps: 3 })
      expect(last).to.include({ precision: 'fp32', peakDeviceMiB: null })
      const seconds = last.secondsMedian as number
      expect(seconds)
        .to.be.above(0)
        .and.at.least(last.secondsMin as number)
      expect(last.imagesPerSecond).to.be.closeTo(2 / seconds, 1e-6 / seconds)
      expect(last.peakRssMiB).to.be.above(20)
      const plan = last.plan as Planned[]
      expect(new Set(plan.map(({ phase }) => phase))).to.deep.equal(new Set(['forward', 'backward']))
      const sum = (key: 'flops' | 'bytes') => plan.reduce((all, step) => all + step[key], 0)
      expect(last.flopsPerSecond).to.be.closeTo(sum('flops') / seconds, 1e-9 * sum('flops') * (1 / seconds))
      expect(last.bytesPerSecond).to.be.closeTo(sum('bytes') / seconds, 1e-9 * sum('bytes') * (1 / seconds))
      for (const step of plan) expect(text).to.include(step.op).and.include(step.candidate)
    })
  }

  it('runs forward only for inference, on one image too', async () => {
    const { code, last, text } = await runCommand(
      'bench',
      '--op',
      'sk_unit',
      '--mode',
      'infer',
      '--channels',
      '32',
      ...small,
      '--batch',
      '1',
    )
    expect(code, text).to.equal(0)
    const plan = last.plan as Planned[]
    expect(new Set(plan.map(({ phase }) => phase))).to.deep.equal(new Set(['forward']))
  })

  it('counts the FLOPs of the shape asked for', async () => {
    const shape = ['--channels', '32', '--out', '64', '--kernel', '5', '--stride', '2', '--groups', '4']
    const { last, text } = await runCommand('bench', '--op', 'conv2d', ...shape, ...small, '--mode', 'infer')
    expect(last, text).to.include({ channels: 32, out: 64, kernel: 5, stride: 2, groups: 4, dilation: 1 })
    // Two images of 3 x 3 pixels, 64 channels of 5 x 5 x (32 / 4) taps.
    expect((last.plan as Planned[])[0]!.flops).to.equal(2 * (2 * 3 * 3 * 64 * 5 * 5 * 8))
  })

  it('takes a step to another candidate', async () => {
    const args = ['bench', '--op', 'conv2d', '--channels', '32', ...small]
    const refused = await runCommand(...args, '--candidate', 'conv2d_forward=none-such')
    expect(refused.code).to.equal(2)
    const plainest = (refused.last.expected as string).split(', ').at(-1)!
    const { last, text } = await runCommand(...args, '--candidate', `conv2d_forward=${plainest}`)
    const forward = (last.plan as Planned[]).find(({ op }) => op === 'conv2d_forward')
    expect(forward?.candidate, text).to.equal(plainest)
  })

  const bad: [argv: string[], option: string, message: RegExp][] = [
    [['--op', 'sk-unit'], 'op', /Did you mean sk_unit\?/],
    [['--op', 'conv2d', '--branches', '2'], 'branches', /--branches is no option of conv2d/],
    [['--op', 'conv2d', '--groups', '3'], 'groups', /divides 128 channels/],
    [['--op', 'conv2d', '--channels', '64', '--out', '96', '--groups', '64'], 'groups', /divides 64 and 96 channels/],
    [['--op', 'bottleneck', '--mid', '100', '--groups', '32'], 'groups', /divides 100 channels/],
    [['--op', 'conv2d', '--kernel', '4'], 'kernel', /an odd number/],
    [['--op', 'conv2d', '--channels', '0'], 'channels', /channels is 0/],
    [['--op', 'sk_unit', '--branches', '17'], 'branches', /from 1 to 16/],
    [['--op', 'sk_unit', '--batch', '1'], 'batch', /batch is 1/],
    [['--op', 'conv2d', '--candidate', 'gemm'], 'candidate', /expected OP=NAME/],
    [['--op', 'conv2d', '--candidate', 'conv=gemm'], 'candidate', /the plan has no op conv; expected one of conv2d_forward/],
    [['--op', 'conv2d', '--precision', 'fp8'], 'precision', /precision is 'fp8'/],
    [['--op', 'conv2d', '--loader'], 'loader', /--op and --loader exclude each other/],
    [['--model', 'sknet50', '--op', 'conv2d'], 'op', /--model and --op exclude each other/],
    [['--kernel', '3'], 'kernel', /--kernel goes with --op, not with --model/],
    [['--op', 'conv2d', '--data', 'x'], 'data', /--data goes with --loader, not with --op/],
    [['--loader', '--steps', '3'], 'steps', /--steps goes with --model and --op, not with --loader/],
    [['--loader'], 'data', /needs --data PATH/],
  ]
  for (const [argv, option, message] of bad) {
    it(`refuses ${argv.join(' ')}`, async () => {
      const { code, last } = await runCommand('bench', ...argv)
      expect(code).to.equal(2)
      expect(last).to.include({ type: 'error', code: 'ERR_SKNET_OPTION', option })
      expect(last.message).to.match(message)
    })
  }
})

describe('bench --loader', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sknet-bench-'))
    await writeCifar(join(folder, 'both'), { train: 30, val: 20 })
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('reads a small set several times over', async () => {
    const data = ['--loader', '--data', join(folder, 'both'), '--threads', '1']
    const { code, last, text } = await runCommand('bench', ...data, '--batch', '8', '--images', '70')
    expect(code, text).to.equal(0)
    // Two epochs of 8 + 8 + 8 + 6 images, then two batches.
    expect(last).to.include({ type: 'result', data: 'cifar10', split: 'train', images: 76, epochs: 3, steps: 10, bad: 0 })
    expect(last).to.include({ mode: 'train', batch: 8, size: 32, threads: 1, flopsPerSecond: null, peakDeviceMiB: null })
    expect(last.imagesPerSecond).to.be.above(0)
    expect(last.secondsMedian).to.be.above(0)
    const val = await runCommand('bench', ...data, '--mode', 'infer', '--size', '16')
    expect(val.last).to.include({ split: 'val', mode: 'infer', size: 16, images: 100, epochs: 5 })
  })

  it('counts and names files that cannot be read', async () => {
    const data = join(folder, 'pictures')
    await mkdir(join(data, 'thing'), { recursive: true })
    for (let i = 0; i < 5; i++) await writeFile(join(data, 'thing', `${i}.png`), i === 3 ? '<html>' : rgbPng(9, 7, new Uint8Array(189)))
    const { last, text } = await runCommand('bench', '--loader', '--data', data, '--batch', '2', '--size', '8', '--images', '12')
    expect(last, text).to.include({ data: 'image-folder', bad: 1 })
    expect(text).to.match(/warning: .*3\.png: /)
  })

  it('prepares batches of bytes, and tells who resizes', async () => {
    const data = join(folder, 'square')
    await mkdir(join(data, 'thing'), { recursive: true })
    for (let i = 0; i < 4; i++) await writeFile(join(data, 'thing', `${i}.png`), rgbPng(12, 12 + i, new Uint8Array(36 * (12 + i))))
    const bench = ['bench', '--loader', '--data', data, '--batch', '2', '--size', '8', '--images', '8', '--warmup', '0', '--mode', 'infer']
    const [bytes, floats] = [await runCommand(...bench, '--bytes'), await runCommand(...bench)]
    expect(bytes.last, bytes.text).to.include({ imageFormat: 'uint8', resize: 'device', resizedOnHost: 0, images: 8 })
    expect(bytes.last.bytesPerImage).to.be.within(3 * 8 * 8, 12 * 8 * 8 + 400)
    expect(bytes.text).to.match(/an image go up; resized by the device, 0 too large/)
    expect(floats.last).to.include({ imageFormat: 'float32', resize: 'host', resizedOnHost: 0, bytesPerImage: 12 * 8 * 8 })
  })

  it('needs the split it reads', async () => {
    await writeCifar(join(folder, 'val'), { train: 0, val: 10 })
    const { code, last } = await runCommand('bench', '--loader', '--data', join(folder, 'val'))
    expect(code).to.equal(3)
    expect(last).to.include({ code: 'ERR_SKNET_DATA' })
  })
})

describe('explain --measure', () => {
  it('adds the times of every step and of every op', async () => {
    const args = ['explain', 'sknet_tiny_cifar', '--batch', '4', '--size', '16', '--threads', '1']
    const { code, last, text } = await runCommand(...args, '--measure', '2')
    expect(code, text).to.equal(0)
    expect(last).to.include({ type: 'result', mode: 'train', batch: 4, size: 16, measured: 2 })
    const steps = last.steps as Planned[]
    for (const { phase, seconds, flopsPerSecond } of steps) {
      if (phase === 'update') expect([seconds, flopsPerSecond]).to.deep.equal([0, null])
      else expect(seconds).to.be.above(0)
    }
    const ops = last.ops as { share: number; steps: number; seconds: number }[]
    expect(ops.reduce((sum, { share }) => sum + share, 0)).to.be.closeTo(1, 1e-9)
    expect(ops.reduce((sum, op) => sum + op.steps, 0)).to.equal(steps.length)
    expect(last.secondsMedian).to.be.at.least(ops[0]!.seconds)
    expect(text)
      .to.match(/GFLOP\/s/)
      .and.match(/share/)
    const plain = await runCommand(...args)
    expect(plain.last).to.not.include.keys('measured', 'ops')
    expect(plain.text).to.not.match(/GFLOP\/s/)
  })

  it('times the steps on a device, the update with them', async function () {
    if (!hasEmulatedDevice()) this.skip()
    const { code, last, text } = await runCommand(
      ...['explain', 'sknet_tiny_cifar', '--batch', '2', '--size', '8', '--device', 'cuda-emulated', '--measure', '1'],
    )
    expect(code, text).to.equal(0)
    const steps = last.steps as Planned[]
    for (const { phase, seconds } of steps) if (phase !== 'update') expect(seconds).to.be.above(0)
    expect(steps.find(({ phase }) => phase === 'update')!.seconds).to.be.above(0)
  })

  it('refuses no steps', async () => {
    expect((await runCommand('explain', 'sknet_tiny_cifar', '--measure', '0')).last).to.include({ option: 'measure' })
  })
})
