import { expect } from 'chai'
import { scaleLearningRate } from '../../lib/index.js'

describe('learning rates for other batch sizes', () => {
  it('scale with the batch, or with its square root', () => {
    expect(scaleLearningRate(0.1, 1024)).to.equal(0.4)
    expect(scaleLearningRate(0.1, 64)).to.equal(0.025)
    expect(scaleLearningRate(0.1, 1024, 256, 'sqrt')).to.equal(0.2)
    expect(scaleLearningRate(0.5, 96, 32, 'linear')).to.equal(1.5)
  })

  it('refuses what is no batch size, rate or rule', () => {
    expect(() => scaleLearningRate(0.1, 0)).to.throw(/^batchSize is 0/)
    expect(() => scaleLearningRate(NaN, 8)).to.throw(/^lr is NaN/)
    expect(() => scaleLearningRate(0.1, 8, 8, 'cubic' as never)).to.throw(/^rule is 'cubic'; expected one of linear, sqrt/)
  })
})
