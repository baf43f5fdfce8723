import { expect } from 'chai'
import type { TensorInfo } from '../../lib/native.js'
import { judgedSection } from '../../lib/optim/ema.js'
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
    const sgd = { name: 'sgd' as const, lr: 0.1, momentum: 0.8, nesterov: true, weightDecay: 1e-4, gradClip: 2 }
    const { weightDecay, ...rest } = planOptimizer(sgd, 0.99, tensors)
    expect(rest).to.deep.equal({ momentum: 0.8, nesterov: true, gradClip: 2, emaDecay: 0.99 })
    expect([...weightDecay]).to.deep.equal([1e-4, 0, 0, 1e-4, 1e-4, 0])
  })
})

describe('ema', () => {
  it('is what a run is judged by where one is kept', () => {
    expect(judgedSection(0)).to.equal('value')
    expect(judgedSection(0.999)).to.equal('ema')
  })
})
