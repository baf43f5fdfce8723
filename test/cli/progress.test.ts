import { expect } from 'chai'
import type { Output } from '../../lib/cli/output.js'
import { createReporter, duration, epochLine, resultLines, shortDuration, startLines, stepLine } from '../../lib/cli/progress.js'
import type { EpochEvent, StartEvent, StepEvent, TrainResult } from '../../lib/train/events.js'
import { resolveOptions } from '../../lib/train/options.js'

const start: StartEvent = {
  type: 'start',
  run: null,
  model: 'sknet_tiny_cifar',
  params: 320874,
  classes: 10,
  trainImages: 20000,
  valImages: 4000,
  size: 32,
  epochs: 12,
  stepsPerEpoch: 78,
  totalSteps: 936,
  threads: 2,
  resumed: null,
  recipe: 'cifar',
  options: resolveOptions([]),
  memory: null,
}

const step = (n: number): StepEvent => ({
  type: 'step',
  epoch: 1,
  step: n,
  loss: 2.3,
  accuracy: 0.125,
  lr: 0.1,
  gradNorm: 1,
  seconds: 0.5,
  waitSeconds: 0,
  imagesPerSecond: 512,
})

const epoch: EpochEvent = {
  type: 'epoch',
  epoch: 3,
  step: 234,
  lr: 0.1,
  loss: 1.5,
  accuracy: 0.45,
  top1: 0.5,
  top5: 0.9,
  valLoss: 1.4,
  raw: null,
  best: true,
  seconds: 75,
  waitSeconds: 15,
  waitShare: 0.2,
  imagesPerSecond: 266,
  badSamples: [{ path: 'a.jpg', reason: 'cut short', split: 'train' }],
}

function recorder(live: boolean) {
  const lines: string[] = []
  const put = (kind: string) => (text: string) => void lines.push(`${kind}: ${text}`)
  const same = (text: string): string => text
  const output: Output = {
    json: false,
    live,
    emit: () => {},
    say: put('say'),
    warn: put('warn'),
    progress: put('progress'),
    bold: same,
    dim: same,
  }
  return { lines, output }
}

describe('progress', () => {
  it('shows epoch, step, loss, accuracy, speed and time left', () => {
    expect(stepLine(start, step(36), 512)).to.equal('epoch 1/12  step 36/936  loss 2.3000  accuracy 12.50 %  512 img/s  ETA 7:30')
    expect(epochLine(start, epoch)).to.equal(
      'epoch  3/12  loss 1.5000  accuracy 45.00 %  top-1 50.00 %  top-5 90.00 %  val loss 1.4000  266 img/s  waited 20 %  1 unreadable  1:15  best',
    )
  })

  it('leaves out validation where there is none', () => {
    expect(epochLine(start, { ...epoch, top1: null, top5: null, valLoss: null, best: false })).to.not.match(/top-1|best/)
    expect(epochLine(start, { ...epoch, raw: { top1: 0.4, top5: 0.8, loss: 2 } })).to.include('without averaging 40.00 %')
  })

  it('writes durations as clocks', () => {
    expect([0, 59.6, 75, 3675, Infinity, NaN].map(duration)).to.deep.equal(['0:00', '1:00', '1:15', '1:01:15', '-', '-'])
  })

  it('writes short times with tenths', () => {
    expect([0.04, 2.44, 10, 75].map(shortDuration)).to.deep.equal(['0.0 s', '2.4 s', '0:10', '1:15'])
  })

  it('says where a run goes on from, and when it is finished', () => {
    const at = (step: number): string | undefined => startLines({ ...start, resumed: { step, epoch: 12, path: 'runs/x/c' } }).at(-1)
    expect(at(900)).to.equal('going on from step 900 (epoch 12): runs/x/c')
    expect(at(936)).to.match(/^this run is finished/)
    expect(startLines({ ...start, threads: 1 })[2]).to.match(/, 1 thread$/)
  })

  it('rewrites often on a terminal, seldom elsewhere', () => {
    for (const [live, expected] of [
      [true, 10],
      [false, 1],
    ] as const) {
      const { lines, output } = recorder(live)
      let time = 0
      const reporter = createReporter(output, () => time)
      reporter.event(start)
      const before = lines.length
      for (let n = 1; n <= 10; n++) {
        time += 3
        reporter.event(step(n))
      }
      expect(lines.length - before).to.equal(expected)
      reporter.event(epoch)
      expect(lines.at(-1)).to.match(/^say: epoch {2}3\/12/)
    }
  })

  it('tells warnings on standard error', () => {
    const { lines, output } = recorder(false)
    createReporter(output).event({ type: 'warning', about: 'bad-sample', message: 'a.jpg: cut short' })
    expect(lines).to.deep.equal(['warn: warning: a.jpg: cut short'])
  })

  it('ends with the result', () => {
    const result: TrainResult = {
      run: 'runs/x',
      model: 'm',
      params: 1,
      classes: 10,
      epochs: 12,
      steps: 936,
      totalSteps: 936,
      stopped: null,
      loss: 1,
      top1: 0.78,
      top5: 0.98,
      valLoss: 0.7,
      best: { top1: 0.79, epoch: 11 },
      badSamples: 2,
      waitShare: 0.07,
      seconds: 100,
      imagesPerSecond: 200,
      checkpoint: 'runs/x/checkpoints/step-00000936',
    }
    expect(resultLines(result)).to.deep.equal([
      'finished: 12 epochs, 936 steps',
      'top-1 78.00 %, top-5 98.00 %; best 79.00 % in epoch 11',
      '7 % of the time waited for data',
      '2 images could not be read',
      'saved in runs/x/checkpoints/step-00000936',
    ])
    expect(resultLines({ ...result, stopped: 'maxSteps', steps: 5, top1: null })[0]).to.equal('stopped after step 5 of 936')
  })
})
