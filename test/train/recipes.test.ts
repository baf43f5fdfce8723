import { expect } from 'chai'
import { SknetError } from '../../lib/errors.js'
import { checkOptions, resolveOptions } from '../../lib/train/options.js'
import { defaultRecipe, recipes, recipesByName } from '../../lib/train/recipes.js'

const resolved = (recipe: { options: object }) => resolveOptions([checkOptions(recipe.options)])

describe('recipes', () => {
  it('large: 100 epochs, 256 images in 8 shards of 32, drops at 30, 60 and 90', () => {
    const options = resolved(recipes.large())
    expect(options).to.include({ epochs: 100, batchSize: 256, shardSize: 32 })
    expect(options.optimizer).to.include({ lr: 0.1, momentum: 0.9, weightDecay: 1e-4, nesterov: false })
    expect(options.schedule).to.deep.equal({ name: 'step', warmupEpochs: 0, steps: [30, 60, 90] })
    expect(options.loss.labelSmoothing).to.equal(0.1)
    expect(options.data.augment).to.equal('paper')
  })

  it('light: 300 epochs, 1024 images in 8 shards of 128, cosine after five epochs', () => {
    const options = resolved(recipes.light())
    expect(options).to.include({ epochs: 300, batchSize: 1024, shardSize: 128 })
    expect(options.optimizer).to.include({ lr: 0.4, weightDecay: 4e-5 })
    expect(options.schedule).to.include({ name: 'cosine', warmupEpochs: 5 })
  })

  it('cifar and cifar-paper: the whole batch is one shard', () => {
    const short = resolved(recipes.cifar())
    expect(short).to.include({ epochs: 12, batchSize: 128, shardSize: 128 })
    expect(short.schedule).to.include({ name: 'cosine', warmupEpochs: 1 })
    const paper = resolved(recipes.cifarPaper())
    expect(paper).to.include({ epochs: 300, batchSize: 128, shardSize: 128 })
    expect(paper.schedule).to.deep.equal({ name: 'step', warmupEpochs: 0, steps: [150, 225] })
    for (const options of [short, paper]) expect(options.optimizer).to.include({ lr: 0.1, weightDecay: 5e-4 })
  })

  it('take changes, leaving the recipe itself as it was', () => {
    const changed = recipes.large({ epochs: 10, optimizer: { lr: 0.05 } })
    expect(resolved(changed)).to.include({ epochs: 10, batchSize: 256 })
    expect(resolved(changed).optimizer).to.include({ lr: 0.05, weightDecay: 1e-4 })
    expect(resolved(recipes.large())).to.include({ epochs: 100 })
    expect(resolved(recipes.large({ batchSize: 8 })).shardSize).to.equal(8)
    expect(resolved(recipes.large({ batchSize: 64 })).shardSize).to.equal(32)
  })

  it('refuse a bad change when it is made', () => {
    expect(() => recipes.cifar({ epochs: 0 })).to.throw(SknetError, /epochs is 0/)
  })

  it('are plain data with a source, and found by name', () => {
    for (const [name, make] of Object.entries(recipesByName)) {
      const recipe = make()
      expect(recipe.name).to.equal(name)
      expect(recipe.source).to.not.equal('')
      expect(JSON.parse(JSON.stringify(recipe))).to.deep.equal(recipe)
    }
  })

  it('default to the input a network is made for', () => {
    expect(defaultRecipe(32).name).to.equal('cifar')
    expect(defaultRecipe(224).name).to.equal('large')
  })
})
