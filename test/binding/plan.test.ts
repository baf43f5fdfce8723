/** Plans made on native threads: what is refused, and that JavaScript goes on meanwhile. */
import { expect } from 'chai'
import type { PlanOptions } from '../../binding.js'
import { native } from '../../lib/native.js'
import { createModel } from '../../lib/model/registry.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'

const { layers } = createModel('sknet_tiny_cifar').spec
const options: PlanOptions = {
  layers,
  input: { height: 32, width: 32, channels: 3 },
  mode: 'infer',
  shardSize: 2,
  shards: 1,
  threads: 1,
}

describe('openPlan', () => {
  it('rejects what the constructor throws, with the same code and words', async () => {
    const [first, ...rest] = layers
    for (const bad of [
      { device: 'gpu' },
      { device: 'cuda:-1' },
      { shardSize: 0 },
      { layers: [{ ...first!, inputs: ['nobody'] }, ...rest] },
    ]) {
      const thrown = (call: () => unknown): Error & { code?: string } => {
        try {
          call()
        } catch (error) {
          return error as Error
        }
        throw new Error('nothing was thrown')
      }
      const expected = thrown(() => new (native().Plan)({ ...options, ...bad }))
      const got = await native()
        .openPlan({ ...options, ...bad })
        .then(
          () => null,
          (error: unknown) => error as Error & { code?: string },
        )
      expect(got).to.include({ code: expected.code, message: expected.message })
    }
  })

  it('makes several at once while JavaScript goes on', async function () {
    if (!hasEmulatedDevice()) this.skip()
    let open = true
    let turns = 0
    const turn = (): void => {
      turns++
      if (open) setImmediate(turn)
    }
    setImmediate(turn)
    const plans = await Promise.all([0, 1, 2].map(() => native().openPlan({ ...options, device: emulated })))
    open = false
    expect(turns).to.be.greaterThan(0)
    for (const plan of plans) {
      expect((await plan.infer(new Float32Array(2 * 32 * 32 * 3), 2)).length).to.equal(20)
      plan.dispose()
    }
  })
})
