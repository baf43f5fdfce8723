/** Mixup and cutmix on the emulated device: what the CPU makes of the same batches, and runs through the trainer. */
import { expect } from 'chai'
import { openLoader } from '../../lib/data/loader.js'
import { createModel, synthetic, Trainer } from '../../lib/index.js'
import { readTensors, trainPlan, writeTensors } from '../../lib/train/plans.js'
import { trainingView } from '../../lib/train/views.js'
import { assertClose, tolerance } from '../support/compare.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { mixedNetwork } from '../support/tiny-networks.js'
import { compareTraining, drawTraining, plainSettings, trainNative, trainReference, type TrainCase } from '../support/train-case.js'

const mixed: TrainCase = {
  name: 'mixed batches on a device',
  layers: mixedNetwork(5),
  input: [9, 8, 3],
  classes: 5,
  shardSize: 4,
  shards: 3,
  settings: { ...plainSettings, lr: 0.01, labelSmoothing: 0.1 },
}

describe('mixed batches on cuda-emulated', function () {
  this.timeout(120_000)
  if (!hasEmulatedDevice()) {
    it('the emulated device is not built')
    return
  }

  it('train as on the CPU and as the reference does', async () => {
    const drawn = drawTraining(mixed, 2)
    for (const [b, batch] of drawn.batches.entries()) {
      const labels2 = batch.labels.map((label, i) => (label + i + b) % mixed.classes)
      batch.mixed = { labels2, mix: Float32Array.from(labels2, (_, i) => ((i * 5 + b) % 12) / 11) }
    }
    const [device, cpu] = [await trainNative(mixed, drawn, { device: emulated }), await trainNative(mixed, drawn, {})]
    compareTraining(emulated, device, trainReference(mixed, drawn), tolerance(64, 50))
    assertClose('losses', device.loss, cpu.loss, 1e-5)
    expect(device.correct).to.deep.equal(cpu.correct)
  })

  for (const data of [{}, { mixup: 0.4 }, { cutmix: 1 }]) {
    it(`train through the trainer as batches of floats do, ${JSON.stringify(data)}`, async () => {
      const model = createModel('sknet_tiny_cifar', { classes: 4, seed: 0 })
      const train = synthetic({ split: 'train', count: 8, classes: 4, size: 8, seed: 1 })
      const options = { recipe: 'cifar', epochs: 1, batchSize: 4, shardSize: 2, device: emulated, data: { size: 8, ...data } } as const
      const trainer = new Trainer(model, options)
      const [initial, losses, rates]: [Map<string, Float32Array>, number[], number[]] = [new Map(model.weights()), [], []]
      const plan = await trainPlan(model, trainer.options, 8)
      await writeTensors(plan, 'value', initial)
      for await (const event of trainer.fit({ train })) {
        if (event.type !== 'step') continue
        losses.push(event.loss)
        rates.push(event.lr)
      }
      const transform = trainingView(train, trainer.options, 8)
      const batches = openLoader(train, { transform, batchSize: 4, seed: 0, shuffle: true, dropLast: true, ...data })
      const chunk = await plan.trainSteps(batches, Float64Array.from(rates), 1e9)
      expect(losses).to.deep.equal([...chunk.loss])
      for (const [name, values] of await readTensors(plan, 'value')) expect(model.weights().get(name), name).to.deep.equal(values)
      plan.dispose()
    })
  }

  it('follow images that grow, with a validation, and end where another such run does', async () => {
    const fit = async (): Promise<unknown[]> => {
      const model = createModel('sknet_tiny_cifar', { classes: 4, seed: 0 })
      const data = { augment: 'light', size: 16, startSize: 8, rampEpochs: [1, 2] as [number, number] } as const
      const trainer = new Trainer(model, { recipe: 'cifar', epochs: 2, batchSize: 2, device: emulated, data, eval: { crop: 8 } })
      const images = (split: 'train' | 'val') => synthetic({ split, count: 4, classes: 4, size: 16, seed: 1 })
      const numbers: unknown[] = []
      for await (const event of trainer.fit({ train: images('train'), val: images('val') })) {
        if (event.type === 'step') numbers.push(event.loss)
        if (event.type === 'epoch') numbers.push(event.top1, event.valLoss)
      }
      return [...numbers, ...model.weights().values()]
    }
    const [first, second] = [await fit(), await fit()]
    expect(first).to.deep.equal(second)
    expect(first.slice(0, 2).every((loss) => typeof loss === 'number' && loss > 0)).to.equal(true)
  })
})
