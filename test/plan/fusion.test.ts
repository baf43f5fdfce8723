// What batch norms leave to their neighbours: statistics in the epilogue of what writes their input, their output recomputed by whoever
// reads it, their gradient closed by whoever writes it and read through their backward. Whole fragments of networks, fused and not.
import { expect } from 'chai'
import { native } from '../../lib/native.js'
import { block, bottleneckCases, sk } from '../support/fragments.js'
import { describeLayers } from '../support/run-layers.js'

describeLayers('fusion', [], bottleneckCases)

describe('fusion leaves no batch norm a pass of its own', () => {
  it('in a bottleneck with an SK unit, but for the addition and the ReLU', () => {
    const plan = new (native().Plan)({
      layers: [...block('one', 'input', 8, 16, sk('one', 8), null), ...block('two', 'one', 8, 16, sk('two', 8), null)],
      input: { height: 6, width: 6, channels: 16 },
      mode: 'block',
      shardSize: 2,
      shards: 1,
      threads: 1,
    })
    const steps = plan.steps().filter((step) => step.op.startsWith('batch_norm'))
    plan.dispose()
    const passes = steps.map((step) => `${step.op} ${step.layer}`)
    expect(passes).to.deep.equal(['batch_norm_apply one.c.bn', 'batch_norm_apply two.c.bn', 'batch_norm_close two.c.bn'])
  })
})
