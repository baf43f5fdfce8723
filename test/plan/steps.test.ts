// What a plan tells of itself: every op of a step, in order, with the candidate that runs it and why earlier ones do not.
import { expect } from 'chai'
import { native } from '../../lib/native.js'
import type { PlanOptions, PlanStep } from '../../binding.js'
import * as l from '../support/layers.js'

const layers = [
  l.conv2d('stem', 'input', 32, { kernel: 3, padding: 1 }),
  l.batchNorm('bn', 'stem'),
  l.relu('act', 'bn'),
  l.skUnit('sk', 'act', 32, l.dilatedBranches(2, 8), 16, 1),
  l.globalAvgPool('pool', 'sk'),
  l.linear('fc', 'pool', 10),
]

function steps(options: Partial<PlanOptions>): PlanStep[] {
  const plan = new (native().Plan)({
    layers,
    input: { height: 8, width: 8, channels: 3 },
    mode: 'train',
    shardSize: 4,
    shards: 2,
    threads: 1,
    optimizer: { momentum: 0.9, nesterov: false, gradClip: 0, emaDecay: 0.99, weightDecay: new Float64Array(20) },
    ...options,
  })
  try {
    return plan.steps()
  } finally {
    plan.dispose()
  }
}

describe('plan steps', () => {
  it('go forward, backward, then once through the update', () => {
    const phases = steps({}).map((s) => s.phase)
    expect(phases).to.deep.equal(
      phases.toSorted((a, b) => ['forward', 'backward', 'update'].indexOf(a) - ['forward', 'backward', 'update'].indexOf(b)),
    )
    expect(new Set(phases)).to.deep.equal(new Set(['forward', 'backward', 'update']))
  })

  it('list what the update does: norm, SGD, running statistics, and the EMA where one is kept', () => {
    const update = (emaDecay: number): string[] =>
      steps({ optimizer: { momentum: 0.9, nesterov: false, gradClip: 0, emaDecay, weightDecay: new Float64Array(20) } })
        .filter((s) => s.phase === 'update')
        .map((s) => s.op)
    expect(update(0)).to.deep.equal(['reduce_norm', 'sgd', 'ema'])
    expect(update(0.99)).to.deep.equal(['reduce_norm', 'sgd', 'ema', 'ema'])
  })

  it('name a candidate with its work, and a reason for each one that refused', () => {
    for (const step of steps({})) {
      expect(step.candidate, step.op).not.to.equal('')
      expect(step.bytes, `${step.op} of ${step.layer}`).to.be.above(0)
      for (const r of step.refused) expect(r.reason, `${step.op}: ${r.candidate}`).not.to.equal('')
    }
    const stem = steps({}).find((s) => s.layer === 'stem')
    expect(stem?.candidate).to.equal('gemm')
    expect(stem?.refused.map((r) => r.candidate)).to.deep.equal(['planes'])
  })

  it('have no backward and no update in inference, and two ops less where the convolution normalises its output', () => {
    const fused = steps({ mode: 'infer', shards: 1 })
    expect(new Set(fused.map((s) => s.phase))).to.deep.equal(new Set(['forward']))
    expect(steps({ mode: 'infer', shards: 1, fuse: false })).to.have.length(fused.length + 2)
  })
})
