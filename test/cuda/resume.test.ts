/** A run on a device that resumes with other kernels than it began with. */
import { expect } from 'chai'
import { createModel, recipes, synthetic, Trainer, type TrainEvent } from '../../lib/index.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { temporaryFolder } from '../support/temp.js'

describe('resuming on cuda-emulated', function () {
  this.timeout(300_000)
  if (!hasEmulatedDevice()) {
    it('the emulated device is not built')
    return
  }
  const folder = temporaryFolder()

  it('tells where other kernels are chosen than the run began with, and only there', async () => {
    const train = synthetic({ split: 'train', count: 8, classes: 4, size: 8, seed: 1 })
    const warnings = async (maxSteps: number): Promise<TrainEvent[]> => {
      const options = {
        recipe: recipes.cifar({ epochs: 2, batchSize: 2 }),
        seed: 1,
        run: folder(),
        device: emulated,
        precision: 'bf16' as const,
      }
      const events: TrainEvent[] = []
      const model = createModel('sknet_tiny_cifar', { classes: 4, seed: 0 })
      for await (const event of new Trainer(model, options).fit({ train, maxSteps })) if (event.type === 'warning') events.push(event)
      return events
    }
    expect(await warnings(1)).to.deep.equal([])
    expect(await warnings(2)).to.deep.equal([])
    process.env.SKNET_CUDA_WARPGROUPS = '0'
    try {
      const [warning, ...more] = await warnings(3)
      expect(more).to.deep.equal([])
      expect(warning).to.include({ type: 'warning', about: 'kernels' })
      expect((warning as { message: string }).message).to.match(
        /^Other kernels are chosen than the run began with \(.*conv2d_forward\/forward.*\)/,
      )
    } finally {
      delete process.env.SKNET_CUDA_WARPGROUPS
    }
  })
})
