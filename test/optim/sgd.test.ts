import { expect } from 'chai'
import type { TensorInfo } from '../../lib/native.js'
import { judgedSection } from '../../lib/optim/ema.js'
import { SknetError } from '../../lib/errors.js'
import type { ParameterGroup } from '../../lib/optim/groups.js'
import { checkOptions, checkSetting } from '../../lib/train/options.js'
import { planOptimizer, weightDecays } from '../../lib/optim/sgd.js'

const tensors: TensorInfo[] = [
  { name: 'conv.weight', shape: [8, 3, 3, 3], kind: 'param' },
  { name: 'bn.weight', shape: [8], kind: 'param' },
  { name: 'bn.bias', shape: [8], kind: 'param' },
  { name: 'bn.running_mean', shape: [8], kind: 'buffer' },
  { name: 'bn.running_var', shape: [8], kind: 'buffer' },
  { name: 'sk.attn.fc_reduce.weight', shape: [4, 8, 1, 1], kind: 'param' },
  { name: 'fc.weight', shape: [10, 8], kind: 'param' },
  { name: 'fc.bias', shape: [10], kind: 'param' },
]

describe('sgd', () => {
  it('decays tensors of two or more dimensions only, one number a parameter in order', () => {
    expect([...weightDecays(tensors, 5e-4)]).to.deep.equal([5e-4, 0, 0, 5e-4, 5e-4, 0])
  })

  it('hands the plan what the options say', () => {
    const sgd = { name: 'sgd' as const, lr: 0.1, momentum: 0.8, nesterov: true, weightDecay: 1e-4, gradClip: 2, trust: 0.001, groups: [] }
    const { weightDecay, ...rest } = planOptimizer(sgd, 0.99, tensors)
    expect(rest).to.deep.equal({ momentum: 0.8, nesterov: true, gradClip: 2, emaDecay: 0.99 })
    expect([...weightDecay]).to.deep.equal([1e-4, 0, 0, 1e-4, 1e-4, 0])
  })
})

describe('lars', () => {
  it('is SGD with a trust coefficient', () => {
    const plain = { lr: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0, gradClip: 0, trust: 0.02, groups: [] }
    expect(planOptimizer({ name: 'lars', ...plain }, 0, tensors)).to.include({ trust: 0.02 })
    expect(planOptimizer({ name: 'sgd', ...plain }, 0, tensors)).to.not.have.any.keys('trust', 'lrScale')
  })
})

describe('groups of parameters', () => {
  const options = (groups: ParameterGroup[]) =>
    ({ name: 'sgd', lr: 0.1, momentum: 0.9, nesterov: false, weightDecay: 1e-4, gradClip: 0, trust: 0.001, groups }) as const

  it('give rates and weight decays by name, the first that fits; frozen is a rate of zero', () => {
    const groups = [
      { match: 'fc.*', lr: 10 },
      { match: 'sk.*', frozen: true },
      { match: '*.bias', lr: 2, weightDecay: 0.5 },
    ]
    const { lrScale, weightDecay } = planOptimizer(options(groups), 0, tensors)
    expect([...lrScale!]).to.deep.equal([1, 1, 2, 0, 10, 10])
    expect([...weightDecay]).to.deep.equal([1e-4, 0, 0.5, 1e-4, 1e-4, 0])
  })

  it('take points and brackets in a pattern as they are, and refuse one that fits nothing', () => {
    expect(() => planOptimizer(options([{ match: 'conv_weight' }]), 0, tensors)).to.throw(
      SknetError,
      "optimizer.groups[0].match 'conv_weight' fits no tensor of the model",
    )
    expect(() => planOptimizer(options([{ match: 'conv?weight' }]), 0, tensors)).to.throw(SknetError)
    // Buffers are no parameters.
    expect(() => planOptimizer(options([{ match: '*.running_mean' }]), 0, tensors)).to.throw(SknetError)
  })

  it('are checked where they are written, each by its place', () => {
    const option = (groups: unknown): string | undefined => {
      try {
        checkOptions({ optimizer: { groups } })
        return undefined
      } catch (error) {
        return (error as SknetError).option
      }
    }
    expect(option([{ match: 'fc.*', lr: 0.5, weightDecay: 0, frozen: false }])).to.equal(undefined)
    expect(option('fc')).to.equal('optimizer.groups')
    expect(option([{ match: 'fc.*' }, { lr: 1 }])).to.equal('optimizer.groups[1].match')
    expect(option([{ match: '' }])).to.equal('optimizer.groups[0].match')
    expect(option([{ match: 'fc.*', lr: -1 }])).to.equal('optimizer.groups[0].lr')
    expect(option([{ match: 'fc.*', frozen: 'yes' }])).to.equal('optimizer.groups[0].frozen')
    expect(option([{ match: 'fc.*', rate: 1 }])).to.equal('optimizer.groups[0].rate')
    expect([...checkSetting('optimizer.groups=[{"match":"fc.*","lr":10}]')]).to.deep.equal([
      ['optimizer.groups', [{ match: 'fc.*', lr: 10 }]],
    ])
    expect(() => checkSetting('optimizer.groups=[{')).to.throw(SknetError, /^optimizer\.groups is '\[\{'; expected a list of groups/)
  })
})

describe('ema', () => {
  it('is what a run is judged by where one is kept', () => {
    expect(judgedSection(0)).to.equal('value')
    expect(judgedSection(0.999)).to.equal('ema')
  })
})
