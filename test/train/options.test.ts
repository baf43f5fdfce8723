import { expect } from 'chai'
import { SknetError } from '../../lib/errors.js'
import { checkOptions, checkSetting, nest, resolveOptions } from '../../lib/train/options.js'
import { optionSchema } from '../../lib/train/option-schema.js'

function refusal(work: () => unknown): SknetError {
  try {
    work()
  } catch (error) {
    if (error instanceof SknetError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

/** [option path, value, words that the error must hold] */
const refused: [string, unknown, RegExp?][] = [
  ['epochs', 0],
  ['epochs', -1],
  ['epochs', 1.5],
  ['epochs', NaN],
  ['epochs', Infinity],
  ['epochs', '10'],
  ['epochs', null],
  ['epochs', [10]],
  ['batchSize', 0],
  ['batchSize', 1],
  ['batchSize', 2 ** 31],
  ['batchSize', '128'],
  ['batchSize', 12.5],
  ['shardSize', 1],
  ['shardSize', 0],
  ['shardSize', -32],
  ['shardSize', 'auto'],
  ['seed', -1],
  ['seed', 0.5],
  ['seed', 2 ** 53],
  ['seed', NaN],
  ['seed', 1n],
  ['precision', 'fp16'],
  ['precision', 32],
  ['threads', 0],
  ['threads', -2],
  ['threads', 1e9],
  ['threads', 'all'],
  ['device', 'gpu'],
  ['device', 'cuda:x'],
  ['device', 0],
  ['devices', 0],
  ['devices', 2, /several devices is not in this version/],
  ['optimizer.name', 'adam'],
  ['optimizer.lr', NaN],
  ['optimizer.lr', -1],
  ['optimizer.lr', 0],
  ['optimizer.lr', '0.1', /'0.1'/],
  ['optimizer.lr', 1e309],
  ['optimizer.lr', null],
  ['optimizer.lr', true],
  ['optimizer.lr', () => 0.1],
  ['optimizer.momentum', 1],
  ['optimizer.momentum', -0.1],
  ['optimizer.momentum', NaN],
  ['optimizer.nesterov', 1],
  ['optimizer.nesterov', 'true'],
  ['optimizer.weightDecay', -1e-4],
  ['optimizer.weightDecay', Infinity],
  ['optimizer.gradClip', -1],
  ['optimizer.gradClip', '5'],
  ['schedule.name', 'linear'],
  ['schedule.warmupEpochs', -1],
  ['schedule.warmupEpochs', NaN],
  ['schedule.steps', 30],
  ['schedule.steps', [30, 30]],
  ['schedule.steps', [60, 30]],
  ['schedule.steps', [0]],
  ['schedule.steps', ['30']],
  ['loss.labelSmoothing', 1],
  ['loss.labelSmoothing', -0.1],
  ['ema.decay', 1],
  ['ema.decay', -0.5],
  ['data.augment', 'randaugment'],
  ['data.size', 0],
  ['data.size', 31.5],
  ['data.mixup', -1],
  ['data.cutmix', -0.5],
  ['data.dctScale', 'yes'],
  ['data.colorJitter', 1.5],
  ['data.randAugment', 2],
  ['data.randAugment', [2]],
  ['data.randAugment', [2, 31]],
  ['data.onBadSample', 'ignore'],
  ['data.badSampleBudget', -1],
  ['data.badSampleBudget', 1.5],
  ['data.badSampleBudget', NaN],
  ['eval.crop', 0],
  ['eval.resize', -1],
  ['eval.interpolation', 'lanczos'],
  ['checkpoint.every', 0],
  ['checkpoint.every', '2'],
  ['checkpoint.every', '1epoch'],
  ['checkpoint.keep', 1],
  ['onNonFinite', 'ignore'],
  ['onNonFinite', 'skip', /not in this version/],
  ['syncBn', true, /not in this version/],
  ['syncBn', 0],
]

describe('options: what is refused', () => {
  for (const [path, value, words] of refused) {
    it(`${path} = ${typeof value === 'bigint' ? '1n' : typeof value === 'string' ? `'${value}'` : String(value)}`, () => {
      const error = refusal(() => checkOptions({ [path]: value }))
      expect(error.code).to.equal('ERR_SKNET_OPTION')
      expect(error.option).to.equal(path)
      expect(error.got).to.satisfy((got: unknown) => Object.is(got, value))
      expect(error.expected).to.be.a('string').and.not.equal('')
      expect(error.message).to.include(path)
      if (words !== undefined) expect(error.message).to.match(words)
    })
  }

  it('anything of dist, whatever it is', () => {
    expect(refusal(() => checkOptions({ dist: { timeout: 5 } })).message).to.match(
      /dist\.timeout.*distributed training is not in this version/,
    )
    expect(refusal(() => checkOptions({ 'dist.backend': 'mpi' })).option).to.equal('dist.backend')
  })

  it('layers that are no objects, and groups that are no groups', () => {
    for (const layer of [null, 3, 'x', [1]]) expect(refusal(() => checkOptions(layer)).code).to.equal('ERR_SKNET_OPTION')
    expect(refusal(() => checkOptions({ optimizer: 0.1 })).message).to.match(/optimizer is a group/)
    expect(refusal(() => checkOptions({ optimizer: null })).option).to.equal('optimizer')
    expect(refusal(() => checkOptions(JSON.parse('{"__proto__": {"epochs": 3}}'))).option).to.equal('__proto__')
  })
})

describe('options: unknown names', () => {
  const guesses: [Record<string, unknown>, string][] = [
    [{ epoch: 3 }, 'epochs'],
    [{ batchsize: 3 }, 'batchSize'],
    [{ lr: 0.1 }, 'optimizer.lr'],
    [{ optimizer: { lrr: 0.1 } }, 'optimizer.lr'],
    [{ optimizer: { weight_decay: 0.1 } }, 'optimizer.weightDecay'],
    [{ momentum: 0.9 }, 'optimizer.momentum'],
    [{ schedule: { warmUpEpochs: 1 } }, 'schedule.warmupEpochs'],
    [{ labelSmoothing: 0.1 }, 'loss.labelSmoothing'],
    [{ checkpoint: { evry: 5 } }, 'checkpoint.every'],
    [{ presicion: 'fp32' }, 'precision'],
  ]
  for (const [layer, guess] of guesses) {
    it(`${JSON.stringify(layer)}: did you mean ${guess}?`, () => {
      const error = refusal(() => checkOptions(layer))
      expect(error.code).to.equal('ERR_SKNET_OPTION')
      expect(error.hint).to.equal(`Did you mean ${guess}?`)
    })
  }

  it('gives no hint where nothing is near', () => {
    expect(refusal(() => checkOptions({ xyzzyplugh: 1 })).hint).to.equal(undefined)
  })
})

describe('options: settings of the command line', () => {
  const accepted: [string, unknown][] = [
    ['optimizer.lr=0.05', 0.05],
    ['optimizer.lr=1e-3', 1e-3],
    ['schedule.steps=30,60,90', [30, 60, 90]],
    ['schedule.steps=[150,225]', [150, 225]],
    ['schedule.steps=', []],
    ['optimizer.nesterov=true', true],
    ['data.randAugment=2,9', [2, 9]],
    ['data.randAugment=[]', []],
    ['data.colorJitter=0.4', 0.4],
    ['checkpoint.every=1ep', '1ep'],
    ['checkpoint.every=200', 200],
    ['data.size=null', null],
    ['eval.interpolation=bicubic', 'bicubic'],
    ['data.badSampleBudget=0.01', 0.01],
    ['seed=7', 7],
  ]
  for (const [setting, value] of accepted) {
    it(setting, () => expect([...checkSetting(setting).values()]).to.deep.equal([value]))
  }

  for (const setting of [
    'optimizer.lr=',
    'optimizer.lr=fast',
    'optimizer.lr=1e309',
    'epochs',
    '=3',
    'epochs=1.5',
    'optimizer.nesterov=1',
    'schedule.steps=30,x',
    'lrr=1',
  ]) {
    it(`refuses ${setting}`, () => expect(refusal(() => checkSetting(setting)).code).to.equal('ERR_SKNET_OPTION'))
  }
})

describe('options: layers', () => {
  it('fills in every default, and each default is itself accepted', () => {
    for (const [path, rule] of Object.entries(optionSchema)) {
      if (path !== 'shardSize') expect(rule.accepts(rule.default), path).to.equal(true)
      expect(rule.missing?.(rule.default) ?? null, path).to.equal(null)
    }
    const options = resolveOptions([])
    expect(options).to.deep.include({ epochs: 100, batchSize: 256, shardSize: 256, devices: 1, device: 'auto' })
    expect(options.optimizer.lr).to.equal(0.1)
  })

  it('lets later layers win, one path at a time', () => {
    const options = resolveOptions([
      checkOptions({ epochs: 12, optimizer: { lr: 0.1, weightDecay: 5e-4 } }),
      checkOptions({ optimizer: { lr: 0.2 } }),
      checkSetting('epochs=3'),
    ])
    expect(options.epochs).to.equal(3)
    expect(options.optimizer).to.include({ lr: 0.2, weightDecay: 5e-4 })
  })

  it('reads nested and dotted names alike and leaves the caller its objects', () => {
    const steps = [1, 2]
    const options = resolveOptions([checkOptions({ 'optimizer.lr': 0.3, schedule: { steps }, seed: undefined })])
    expect(options.optimizer.lr).to.equal(0.3)
    options.schedule.steps.push(3)
    expect(steps).to.deep.equal([1, 2])
  })

  it('gives back the nested form it was given', () => {
    const layer = { epochs: 2, optimizer: { lr: 0.5 }, checkpoint: { every: 3 } }
    expect(nest(checkOptions(layer))).to.deep.equal(layer)
  })

  it('wants whole shards', () => {
    expect(resolveOptions([checkOptions({ batchSize: 64, shardSize: 32 })]).shardSize).to.equal(32)
    const error = refusal(() => resolveOptions([checkOptions({ batchSize: 48, shardSize: 32 })]))
    expect(error).to.include({ code: 'ERR_SKNET_OPTION', option: 'shardSize', got: 32 })
    expect(error.message).to.include('48')
  })

  it("takes a smaller batch than the recipe's shard as one shard, but not a shard chosen with it", () => {
    const recipe = checkOptions({ batchSize: 256, shardSize: 32 })
    expect(resolveOptions([recipe, checkOptions({ batchSize: 16 })]).shardSize).to.equal(16)
    expect(resolveOptions([recipe, checkOptions({ batchSize: 64 })]).shardSize).to.equal(32)
    expect(refusal(() => resolveOptions([recipe, checkOptions({ batchSize: 16, shardSize: 32 })])).option).to.equal('shardSize')
  })

  it('wants a momentum for nesterov', () => {
    expect(refusal(() => resolveOptions([checkOptions({ optimizer: { nesterov: true, momentum: 0 } })])).option).to.equal(
      'optimizer.nesterov',
    )
  })
})
