import { expect } from 'chai'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import {
  createModel,
  evaluate,
  fromArrays,
  loader,
  recipes,
  SknetError,
  synthetic,
  Trainer,
  type Dataset,
  type EndEvent,
  type Model,
  type TrainerOptions,
  type TrainEvent,
} from '../../lib/index.js'
import { temporaryFolder } from './cli.js'

const tiny = (seed = 0): Model => createModel('sknet_tiny_cifar', { classes: 4, seed })
const images = (split: 'train' | 'val', count: number): Dataset => synthetic({ split, count, classes: 4, size: 16, seed: 1 })
const options = (more: TrainerOptions = {}): TrainerOptions => ({ recipe: recipes.cifar({ epochs: 2, batchSize: 16 }), seed: 1, ...more })

async function failure(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => {
      throw new Error('nothing was thrown')
    },
    (error: unknown) => error as Error,
  )
}

async function collect(events: AsyncIterable<TrainEvent>, each: (event: TrainEvent) => void = () => {}): Promise<TrainEvent[]> {
  const all: TrainEvent[] = []
  for await (const event of events) {
    all.push(event)
    each(event)
  }
  return all
}

const endOf = (events: TrainEvent[]): EndEvent => events.find((event) => event.type === 'end')!
const bytesOf = (model: Model): Buffer =>
  Buffer.concat([...model.weights().values()].map((w) => Buffer.from(w.buffer, w.byteOffset, w.byteLength)))

describe('e2e: trainer', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()

  it('fits, leaves the weights in the model, and evaluates to the same accuracy', async () => {
    const model = tiny()
    const [train, val] = [images('train', 64), images('val', 24)]
    const events = await collect(new Trainer(model, options()).fit({ train, val }))
    const end = endOf(events)
    expect(end).to.include({ run: null, epochs: 2, steps: 8, stopped: null, checkpoint: null })
    const judged = await evaluate(model, val, { batchSize: 5, topk: [1, 5] })
    expect(judged).to.include({ top1: end.top1, top5: 1, images: 24 })
    expect(judged.loss).to.be.closeTo(end.valLoss!, 1e-6)
    expect(model.classNames).to.deep.equal(train.classNames)
  })

  it('says so when evaluate or loader get no model or no data set', async () => {
    const splits = synthetic({ classes: 4, size: 16, count: 8 })
    const refused = [
      [evaluate({} as never, splits.val), /^model is \{\}; expected a model/],
      [evaluate(tiny(), splits as never), /^dataset is .*Take one of the two splits: \.train or \.val$/],
      [evaluate(tiny(), 'cifar' as never), /^dataset is 'cifar'; expected a data set/],
    ] as const
    for (const [work, words] of refused) {
      const error = await failure(work)
      expect(error).to.have.property('code', 'ERR_SKNET_OPTION')
      expect(error.message).to.match(words)
    }
    expect(() => loader(splits as never, { batchSize: 2 })).to.throw(SknetError, /\.train or \.val$/)
  })

  it('gives the same bits twice, and on one thread and two', async () => {
    const results: Buffer[] = []
    for (const threads of [1, 2, 2]) {
      const model = tiny()
      await collect(new Trainer(model, options({ threads, shardSize: 8 })).fit({ train: images('train', 64) }))
      results.push(bytesOf(model))
    }
    expect(results[1]!.equals(results[0]!)).to.equal(true)
    expect(results[2]!.equals(results[1]!)).to.equal(true)
    const other = tiny()
    await collect(new Trainer(other, options({ seed: 2 })).fit({ train: images('train', 64) }))
    expect(bytesOf(other).equals(results[0]!)).to.equal(false)
  })

  it('keeps the event loop free: p99 of its delay stays under 20 ms', async () => {
    const model = createModel('sknet_tiny_cifar', { seed: 0 })
    const trainer = new Trainer(model, { recipe: recipes.cifar({ epochs: 3, batchSize: 64 }), run: join(folder.path(), 'run') })
    const delay = monitorEventLoopDelay({ resolution: 5 })
    // What other programs on this machine cost an idle loop is not ours.
    delay.enable()
    await setTimeout(1000)
    delay.disable()
    const foreign = Math.max(0, delay.percentile(99) / 1e6 - 10)
    delay.reset()
    for await (const event of trainer.fit({
      train: synthetic({ split: 'train', count: 192 }),
      val: synthetic({ split: 'val', count: 64 }),
    })) {
      if (event.type === 'start') delay.enable()
      if (event.type === 'end') delay.disable()
    }
    expect(delay.count).to.be.above(50)
    expect(delay.percentile(99) / 1e6).to.be.below(20 + foreign)
  })

  it('when aborted stops within a step, saves, says the reason, and can go on', async () => {
    const run = join(folder.path(), 'run')
    const train = images('train', 160)
    const whole = tiny()
    await collect(new Trainer(whole, options()).fit({ train }))

    const controller = new AbortController()
    const events: TrainEvent[] = []
    const fit = new Trainer(tiny(), options({ run })).fit({ train, signal: controller.signal })
    const error = await failure(
      collect(fit, (event) => {
        events.push(event)
        if (event.type === 'step' && event.step === 3) controller.abort(new Error('enough'))
      }),
    )
    expect(error.name).to.equal('AbortError')
    expect(error).to.have.property('code', 'ABORT_ERR')
    expect((error.cause as Error).message).to.equal('enough')
    const end = endOf(events)
    expect(end.stopped).to.equal('aborted')
    expect(end.checkpoint).to.equal(join(run, 'checkpoints', `step-${String(end.steps).padStart(8, '0')}`))

    const model = tiny()
    expect(endOf(await collect(new Trainer(model, options({ run })).fit({ train }))).steps).to.equal(20)
    expect(bytesOf(model).equals(bytesOf(whole))).to.equal(true)
  })

  it('aborted beforehand makes no step, and saves all the same', async () => {
    const run = join(folder.path(), 'run')
    const events: TrainEvent[] = []
    const fit = new Trainer(tiny(), options({ run })).fit({ train: images('train', 32), signal: AbortSignal.abort('never mind') })
    const error = await failure(collect(fit, (event) => void events.push(event)))
    expect(error.name).to.equal('AbortError')
    expect(error.cause).to.equal('never mind')
    expect(events.some((event) => event.type === 'step')).to.equal(false)
    expect(await readdir(join(run, 'checkpoints'))).to.deep.equal(['step-00000000'])
  })

  it('left with break saves too, and the same trainer goes on', async () => {
    const run = join(folder.path(), 'run')
    const train = images('train', 160)
    const trainer = new Trainer(tiny(), options({ run }))
    let steps = 0
    for await (const event of trainer.fit({ train })) {
      if (event.type !== 'step') continue
      steps = event.step
      if (steps >= 3) break
    }
    const [checkpoint] = await readdir(join(run, 'checkpoints'))
    expect(Number(checkpoint!.slice(5))).to.be.at.least(steps)
    const events = await collect(trainer.fit({ train }))
    expect(events[0])
      .to.have.property('resumed')
      .that.includes({ step: Number(checkpoint!.slice(5)) })
    expect(endOf(events)).to.include({ steps: 20, stopped: null })
  })

  it('stops when it is disposed, and then refuses', async () => {
    const trainer = new Trainer(tiny(), options())
    const error = await failure(
      collect(trainer.fit({ train: images('train', 160) }), (event) => void (event.type === 'step' && trainer.dispose())),
    )
    expect(error.name).to.equal('AbortError')
    expect(await failure(trainer.step({ images: new Float32Array(1), labels: [0] }))).to.have.property('code', 'ERR_SKNET_DISPOSED')
    await trainer[Symbol.asyncDispose]()
  })

  it('does one thing at a time', async () => {
    const trainer = new Trainer(tiny(), options())
    const first = trainer.fit({ train: images('train', 64) })
    await first.next()
    expect(await failure(trainer.fit({ train: images('train', 64) }).next())).to.have.property('code', 'ERR_SKNET_BUSY')
    await first.return()
    expect(endOf(await collect(trainer.fit({ train: images('train', 64) }))).steps).to.equal(8)
  })

  it('a diverging run keeps its last good state and names the images', async () => {
    const run = join(folder.path(), 'run')
    const fit = new Trainer(tiny(), options({ run, optimizer: { lr: 1e6 }, schedule: { warmupEpochs: 0 } })).fit({
      train: images('train', 160),
    })
    const events: TrainEvent[] = []
    const error = await failure(collect(fit, (event) => void events.push(event)))
    expect(error).to.be.instanceOf(SknetError)
    expect(error).to.include({ code: 'ERR_SKNET_DIVERGED', exitCode: 4 })
    expect((error as SknetError).got)
      .to.have.property('indices')
      .with.length(16)
    const good = events.filter((event) => event.type === 'step').length
    expect(await readdir(join(run, 'checkpoints'))).to.include(`step-${String(good).padStart(8, '0')}`)
    expect(events.some((event) => event.type === 'warning' && event.about === 'diverged')).to.equal(true)
  })

  describe('step', () => {
    const batch = (): { images: Float32Array; labels: number[] } => ({
      images: Float32Array.from({ length: 8 * 16 * 16 * 3 }, (_, i) => Math.sin(i * 0.37) + (Math.floor(i / 768) % 4) * 0.5),
      labels: [0, 1, 2, 3, 0, 1, 2, 3],
    })
    const trainer = (): Trainer =>
      new Trainer(tiny(), { batchSize: 8, data: { size: 16 }, optimizer: { lr: 0.02 }, schedule: { warmupEpochs: 0 } })

    it('learns a batch of ones own, and the model follows', async () => {
      await using own = trainer()
      const before = bytesOf(own.model)
      const losses: number[] = []
      for (let i = 0; i < 12; i++) losses.push(await own.step(batch()))
      expect(losses.at(-1)).to.be.below(losses[0]! * 0.7)
      expect(bytesOf(own.model).equals(before)).to.equal(false)
    })

    it('goes on from weights that others set, another trainer among them', async () => {
      await using own = trainer()
      await using other = new Trainer(own.model, own.options)
      await own.step(batch())
      const first = new Map([...own.model.weights()].map(([name, data]) => [name, data.slice()]))
      const [second] = [await own.step(batch()), await own.step(batch())]
      own.model.setWeights(first)
      expect(await own.step(batch())).to.equal(second)
      // Its own weights, not those it began with.
      const loss = await own.step(batch())
      expect(await other.step(batch())).to.be.below(loss)
      const after = await other.step(batch())
      expect(await own.step(batch())).to.be.below(after)
    })

    it('leaves the weights with the model when it goes', async () => {
      const [own, another] = [trainer(), trainer()]
      for (const each of [own, another]) for (let i = 0; i < 3; i++) await each.step(batch())
      const asked = bytesOf(own.model)
      another.dispose()
      expect(bytesOf(another.model).equals(asked)).to.equal(true)
      own.dispose()
      expect(bytesOf(own.model).equals(asked)).to.equal(true)
    })

    it('takes the batches of a loader as they are', async () => {
      const trainer = new Trainer(tiny(), options({ data: { size: 16 } }))
      const losses: number[] = []
      for await (const batch of loader(images('train', 48), { batchSize: 16, seed: 1 })) losses.push(await trainer.step(batch))
      for await (const batch of loader(images('train', 16), { batchSize: 16, mixup: 1 })) losses.push(await trainer.step(batch))
      expect(losses).to.have.length(4)
      expect(losses.every((loss) => loss > 0 && loss < 10)).to.equal(true)
      trainer.dispose()
    })

    it('refuses what does not fit', async () => {
      await using own = trainer()
      const { images: x, labels } = batch()
      expect(await failure(own.step({ images: x.subarray(1), labels }))).to.include({ code: 'ERR_SKNET_OPTION', option: 'batch.images' })
      expect(await failure(own.step({ images: x, labels: labels.slice(1) }))).to.include({
        code: 'ERR_SKNET_OPTION',
        option: 'batch.labels',
      })
      expect(await failure(own.step({ images: x, labels: [4, ...labels.slice(1)] }))).to.include({ code: 'ERR_SKNET_DATA' })
      expect(await failure(own.step({ images: x, labels: [0.5, ...labels.slice(1)] }))).to.include({ code: 'ERR_SKNET_DATA' })
      const mix = new Float32Array(labels.length).fill(0.5)
      expect(await failure(own.step({ images: x, labels, mix }))).to.include({ option: 'batch.labels2' })
      expect(await failure(own.step({ images: x, labels, labels2: labels }))).to.include({ option: 'batch.mix' })
      expect(await failure(own.step({ images: x, labels, labels2: labels, mix: mix.map(() => 2) }))).to.include({ option: 'batch.mix' })
      expect(await failure(own.step({ images: x, labels }, { lr: NaN }))).to.include({ code: 'ERR_SKNET_OPTION', option: 'lr' })
      const poisoned = x.slice()
      poisoned[5] = NaN
      const before = bytesOf(own.model)
      expect(await failure(own.step({ images: poisoned, labels }))).to.include({ code: 'ERR_SKNET_DIVERGED' })
      expect(bytesOf(own.model).equals(before)).to.equal(true)
    })

    it('knows its memory before anything runs', () => {
      const { total, ...parts } = trainer().memoryReport()
      expect(parts.parameters).to.be.at.least(4 * tiny().params)
      expect(total).to.equal(Object.values(parts).reduce((a, b) => a + b))
    })
  })

  describe('refuses, before a step', () => {
    const cases: [string, TrainerOptions, { train?: Dataset; val?: Dataset }, string, string?][] = [
      ['a batch larger than the data', { batchSize: 64 }, {}, 'ERR_SKNET_OPTION', 'batchSize'],
      ['an augmentation that does not fit the images', { data: { size: 40 } }, {}, 'ERR_SKNET_OPTION', 'data.size'],
      [
        'labels beyond the classes',
        {},
        {
          train: fromArrays({
            images: new Uint8Array(32 * 768),
            labels: Array.from({ length: 32 }, (_, i) => (i === 9 ? 6 : 0)),
            height: 16,
            width: 16,
          }),
        },
        'ERR_SKNET_DATA',
        'classes',
      ],
      [
        'labels beyond the classes in validation',
        {},
        { val: fromArrays({ images: new Uint8Array(768), labels: [4], height: 16, width: 16, split: 'val' }) },
        'ERR_SKNET_DATA',
        'classes',
      ],
    ]
    for (const [name, more, data, code, option] of cases) {
      it(name, async () => {
        const run = join(folder.path(), 'run')
        const error = await failure(new Trainer(tiny(), options({ run, ...more })).fit({ train: images('train', 32), ...data }).next())
        expect(error).to.include({ code, option })
        expect(await readdir(folder.path())).to.deep.equal([])
      })
    }

    it('things that are no data, signal or number', async () => {
      const trainer = new Trainer(tiny(), options())
      const train = images('train', 32)
      for (const bad of [
        {},
        { train: 'cifar' },
        { train, val: 3 },
        { train, signal: {} },
        { train, maxSteps: 0 },
        { train, vale: train },
      ]) {
        expect(await failure(trainer.fit(bad as never).next())).to.have.property('code', 'ERR_SKNET_OPTION')
      }
    })

    it('bad options in the constructor', () => {
      const code = (bad: unknown): unknown => {
        try {
          return new Trainer(tiny(), bad as TrainerOptions)
        } catch (error) {
          return (error as SknetError).code
        }
      }
      for (const bad of [
        null,
        { epochs: 0 },
        { recipe: 'huge' },
        { recipe: {} },
        { run: 3 },
        { fresh: 1 },
        { batchSize: 48, shardSize: 32 },
        { learningRate: 1 },
      ]) {
        expect(code(bad), JSON.stringify(bad)).to.equal('ERR_SKNET_OPTION')
      }
      for (const bad of [undefined, {}, 'sknet50', createModel]) {
        expect(() => new Trainer(bad as never, options())).to.throw(SknetError, /^model is .*; expected a model such as/)
      }
      expect(code({ device: 'cuda:99' })).to.equal('ERR_SKNET_DEVICE')
    })
  })
})
