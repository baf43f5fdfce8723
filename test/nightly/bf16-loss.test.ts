/** What rounding to bfloat16 costs a training: the loss of some 200 steps, beside what float32 makes of weights off by 1e-7. */
import { expect } from 'chai'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cifar10, createModel, recipes, Trainer } from '../../lib/index.js'
import { random } from '../support/random.js'

const data = fileURLToPath(new URL('../../../shared/data/cifar10', import.meta.url))
const seeds = [0, 1, 2]
const steps = 200
/** Of the last steps, whose losses are averaged. */
const tail = 50

/** Mean loss of the last steps of a training of `sknet_tiny_cifar`, batch 64. */
async function tailLoss(seed: number, precision: 'fp32' | 'bf16', perturbation: number): Promise<number> {
  const model = createModel('sknet_tiny_cifar', { classes: 10, seed })
  const noise = random(seed + 1)
  const parameters = [...model.weights()].filter(([name]) => !name.includes('running_'))
  model.setWeights(new Map(parameters.map(([name, w]) => [name, w.map((v) => v * (1 + perturbation * noise.normal()))])), { strict: false })
  const trainer = new Trainer(model, { recipe: recipes.cifar({ epochs: 2, batchSize: 64 }), precision, seed })
  const losses: number[] = []
  const { train } = cifar10(data)
  for await (const event of trainer.fit({ train, maxSteps: steps })) if (event.type === 'step') losses.push(event.loss)
  expect(losses).to.have.length(steps)
  return losses.slice(-tail).reduce((sum, loss) => sum + loss, 0) / tail
}

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

describe('nightly: training in bf16', () => {
  it('loses no more of the loss than float32 does from weights off by 1e-7, plus 1 %', async function () {
    if (!existsSync(data)) this.skip()
    const losses: { float: number; off: number; bf16: number }[] = []
    for (const seed of seeds) {
      losses.push({
        float: await tailLoss(seed, 'fp32', 0),
        off: await tailLoss(seed, 'fp32', 1e-7),
        bf16: await tailLoss(seed, 'bf16', 0),
      })
    }
    const float = mean(losses.map((l) => l.float))
    const luck = Math.abs(mean(losses.map((l) => l.off)) - float)
    expect(Math.abs(mean(losses.map((l) => l.bf16)) - float), JSON.stringify(losses)).to.be.at.most(luck + 0.01 * float)
  })
})
