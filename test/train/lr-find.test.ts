import { expect } from 'chai'
import type { SknetError } from '../../lib/index.js'
import { createModel, findLearningRate, recipes, synthetic } from '../../lib/index.js'

const model = () => createModel('sknet_tiny_cifar', { classes: 4, seed: 3 })
const train = (count = 64) => synthetic({ split: 'train', count, classes: 4, size: 16, seed: 1 })
const recipe = recipes.cifar({ batchSize: 16, seed: 2 })

describe('the learning-rate range test', function () {
  this.timeout(120_000)

  it('goes through growing rates, finds the fall, and leaves the model alone', async () => {
    const net = model()
    const before = [...net.weights()].map(([, values]) => values.slice())
    const { points, suggestion, diverged } = await findLearningRate(net, train(), { recipe, min: 1e-4, max: 0.1, steps: 30 })
    expect(diverged).to.equal(false)
    expect(points.map(({ lr }) => lr)).to.have.length(30)
    for (const [i, { lr }] of points.entries()) expect(lr).to.be.closeTo(1e-4 * 1e3 ** (i / 29), 1e-9)
    // The first average is the first loss itself.
    expect(points[0]!.smoothed).to.be.closeTo(points[0]!.loss, 1e-12)
    expect(suggestion).to.be.within(1e-4, 0.1)
    const lowest = points.reduce((best, point) => (point.smoothed < best.smoothed ? point : best))
    expect(suggestion).to.be.lessThan(lowest.lr)
    expect([...net.weights()].map(([, values]) => values)).to.deep.equal(before)
  })

  it('ends early where the loss runs away', async () => {
    const { points, diverged } = await findLearningRate(model(), train(), { recipe, min: 1, max: 1e12, steps: 60 })
    expect(diverged).to.equal(true)
    expect(points.length).to.be.lessThan(60)
  })

  it('stops at an abort', async () => {
    const controller = new AbortController()
    controller.abort(new Error('enough'))
    const error = await findLearningRate(model(), train(), { recipe, signal: controller.signal }).catch((e: unknown) => e)
    expect(error).to.have.property('name', 'AbortError')
  })

  it('names what is wrong with its options', async () => {
    const code = async (options: object): Promise<[string, string | undefined]> => {
      const error = (await findLearningRate(model(), train(), options).catch((e: unknown) => e)) as SknetError
      return [error.code, error.option]
    }
    expect(await code({ recipe, min: 0 })).to.deep.equal(['ERR_SKNET_OPTION', 'min'])
    expect(await code({ recipe, min: 1, max: 0.5 })).to.deep.equal(['ERR_SKNET_OPTION', 'max'])
    expect(await code({ recipe, steps: 1 })).to.deep.equal(['ERR_SKNET_OPTION', 'steps'])
    expect(await code({ recipe, momentum: 1 })).to.deep.equal(['ERR_SKNET_OPTION', 'momentum'])
  })
})
