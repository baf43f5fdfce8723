/** What changes in the course of a run: the resolution it trains at, and the end it comes to early. */
import { expect } from 'chai'
import { join } from 'node:path'
import type { SknetError } from '../../lib/index.js'
import { createModel, recipes, synthetic, Trainer, type PartialTrainOptions, type TrainEvent } from '../../lib/index.js'
import { temporaryFolder } from './cli.js'

const images = (split: 'train' | 'val', count: number) => synthetic({ split, count, classes: 4, size: 16, seed: 1 })

async function fit(
  run: string,
  options: PartialTrainOptions,
  maxSteps?: number,
): Promise<{ events: TrainEvent[]; weights: Float32Array[] }> {
  const model = createModel('sknet_tiny_cifar', { classes: 4, seed: 0 })
  const trainer = new Trainer(model, { recipe: recipes.cifar({ batchSize: 16, seed: 1 }), ...options, run })
  const events: TrainEvent[] = []
  const data = { train: images('train', 48), val: images('val', 16) }
  for await (const event of trainer.fit({ ...data, ...(maxSteps === undefined ? {} : { maxSteps }) })) events.push(event)
  return { events, weights: [...model.weights().values()] }
}

const endOf = (events: TrainEvent[]) => events.find((event) => event.type === 'end')!

describe('e2e: the course of a run', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()

  it('grows its images between two epochs, and gives the same bits when it is stopped at every border', async () => {
    const options: PartialTrainOptions = {
      epochs: 4,
      data: { augment: 'light', size: 64, startSize: 16, rampEpochs: [1, 3] },
      ema: { decay: 0.9 },
      eval: { crop: 16 },
    }
    const whole = await fit(join(folder.path(), 'whole'), options)
    expect(endOf(whole.events)).to.include({ epochs: 4, steps: 12 })
    const parts = join(folder.path(), 'parts')
    for (const steps of [3, 4, 6, 10]) await fit(parts, options, steps)
    const last = await fit(parts, options)
    expect(last.weights).to.deep.equal(whole.weights)
    const constant = await fit(join(folder.path(), 'constant'), { ...options, data: { augment: 'light', size: 64 } })
    expect(constant.weights).to.not.deep.equal(whole.weights)
  })

  it('mixes images and gives the same bits when it is stopped within an epoch', async () => {
    const options: PartialTrainOptions = { epochs: 2, data: { mixup: 0.4, cutmix: 1 } }
    const whole = await fit(join(folder.path(), 'mixed'), options)
    const parts = join(folder.path(), 'mixed-parts')
    for (const steps of [1, 2, 4]) await fit(parts, options, steps)
    expect((await fit(parts, options)).weights).to.deep.equal(whole.weights)
    expect((await fit(join(folder.path(), 'unmixed'), { epochs: 2 })).weights).to.not.deep.equal(whole.weights)
  })

  it('ends early when validation gets no better, as a finished run', async () => {
    const options: PartialTrainOptions = {
      epochs: 9,
      optimizer: { lr: 1e-30 },
      best: { metric: 'loss' },
      earlyStop: { patience: 2, minDelta: 1e-3 },
    }
    const run = join(folder.path(), 'early')
    const { events } = await fit(run, { ...options, optimizer: { lr: 1e-30 } })
    const end = endOf(events)
    expect(end).to.include({ stopped: null, totalSteps: 27 })
    expect(end.epochs).to.be.lessThan(9)
    const epochs = events.filter((event) => event.type === 'epoch')
    expect(epochs.at(-1)!.epoch).to.equal(end.epochs)
    // A finished run trains no more.
    const again = await fit(run, options)
    expect(again.events.map(({ type }) => type)).to.deep.equal(['start', 'end'])
    expect(endOf(again.events)).to.include({ epochs: end.epochs, steps: end.steps })
  })

  it('leaves frozen tensors as they were, bit for bit, and trains the others', async () => {
    const before = createModel('sknet_tiny_cifar', { classes: 4, seed: 0 }).weights()
    const groups = [
      { match: 'layer*', frozen: true },
      { match: 'fc.*', lr: 10 },
    ]
    const model = createModel('sknet_tiny_cifar', { classes: 4, seed: 0 })
    const trainer = new Trainer(model, { recipe: recipes.cifar({ batchSize: 16, epochs: 1, seed: 1 }), optimizer: { groups } })
    for await (const _ of trainer.fit({ train: images('train', 32) })) void _
    const changed = (name: string): boolean =>
      model
        .weights()
        .get(name)!
        .some((v, i) => v !== before.get(name)![i])
    const names = [...before.keys()].filter((name) => !name.includes('running_'))
    expect(names.filter((name) => name.startsWith('layer') && changed(name))).to.deep.equal([])
    expect(names.filter((name) => !name.startsWith('layer') && !changed(name))).to.deep.equal([])
  })

  it('refuses to stop early without images to judge by', async () => {
    const trainer = new Trainer(createModel('sknet_tiny_cifar', { classes: 4 }), { batchSize: 16, earlyStop: { patience: 1 } })
    const error = (await trainer
      .fit({ train: images('train', 32) })
      .next()
      .catch((e: unknown) => e)) as SknetError
    expect([error.code, error.option]).to.deep.equal(['ERR_SKNET_OPTION', 'earlyStop.patience'])
  })
})
