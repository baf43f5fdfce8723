import { expect } from 'chai'
import type { MemoryReport, PlanOptions } from '../../binding.js'
import { native } from '../../lib/native.js'
import { networkShape } from '../reference/layer-tensors.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { mixedNetwork } from '../support/tiny-networks.js'

const layers = mixedNetwork(5)
const { tensors } = networkShape(layers, [4, 9, 7, 3])
const parameters = tensors.filter((t) => t.kind === 'param')
const bytes = 4 * parameters.reduce((sum, t) => sum + t.shape.reduce((a, b) => a * b, 1), 0)

function planOptions(options: Partial<PlanOptions>, emaDecay = 0): PlanOptions {
  const optimizer = { momentum: 0.9, nesterov: false, gradClip: 0, emaDecay, weightDecay: new Float64Array(parameters.length) }
  return {
    layers,
    input: { height: 9, width: 7, channels: 3 },
    mode: 'train',
    shardSize: 4,
    shards: 1,
    threads: 1,
    ...(options.mode === undefined ? { optimizer } : {}),
    ...options,
  }
}

function report(options: Partial<PlanOptions>, emaDecay = 0): MemoryReport {
  const plan = new (native().Plan)(planOptions(options, emaDecay))
  const memory = plan.memory()
  plan.dispose()
  return memory
}

describe('memory report', () => {
  it('adds up', () => {
    for (const memory of [
      report({}),
      report({}, 0.9),
      report({ mode: 'infer' }),
      report({ mode: 'block' }),
      report({ shards: 5, threads: 2 }),
    ]) {
      const { total, ...parts } = memory
      expect(Object.values(parts).reduce((a, b) => a + b, 0)).to.equal(total)
      for (const part of Object.values(parts)) expect(part).to.be.at.least(0)
    }
  })

  for (const device of ['cpu', ...(hasEmulatedDevice() ? [emulated] : [])]) {
    it(`is known before the plan is made, ${device}`, async () => {
      for (const options of [planOptions({ device }, 0.9), planOptions({ device, mode: 'infer' }), planOptions({ device, shards: 3 })]) {
        const plan = await native().openPlan(options)
        expect(native().planMemory(options)).to.deep.equal(plan.memory())
        expect(plan.device()).to.equal(device)
        plan.dispose()
      }
    })
  }

  it('covers parameters, gradients, momentum and average in training', () => {
    const memory = report({}, 0.9)
    for (const part of ['parameters', 'gradients', 'optimizer', 'ema'] as const) expect(memory[part], part).to.be.at.least(bytes)
    expect(memory.activations).to.be.greaterThan(0)
  })

  it('keeps no gradients, momentum or average for inference, and fewer activations', () => {
    const memory = report({ mode: 'infer' })
    expect(memory).to.include({ gradients: 0, optimizer: 0, ema: 0 })
    expect(memory.activations).to.be.lessThan(report({}).activations)
  })

  it('grows with the shard, not with the number of shards', () => {
    expect(report({ shardSize: 8 }).activations).to.be.greaterThan(1.8 * report({ shardSize: 4 }).activations)
    expect(report({ shards: 8 }).activations).to.equal(report({ shards: 1 }).activations)
  })
})
