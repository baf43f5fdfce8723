import { expect } from 'chai'
import { median, repeat, type TimedStep } from '../../lib/cli/measure.js'
import { opTable, planTable, timesByOp } from '../../lib/cli/plan-table.js'

function step(op: string, phase: TimedStep['phase'], seconds: number): TimedStep {
  const rate = seconds > 0 ? 1e9 / seconds : null
  const work = { flops: 1e9, bytes: 1e9, flopsPerSecond: rate, bytesPerSecond: rate }
  const why = { refused: [{ candidate: 'fast', reason: 'too odd' }], trials: [], note: '' }
  return { op, layer: `${op}1`, phase, candidate: 'plain', ...why, seconds, ...work }
}

describe('measuring', () => {
  it('takes the middle value, or the mean of the two in the middle', () => {
    expect(median([3, 1, 2])).to.equal(2)
    expect(median([4, 1, 2, 9])).to.equal(3)
    expect(median([])).to.be.NaN
  })

  it('leaves the warm-up out', async () => {
    let calls = 0
    expect(await repeat(() => Promise.resolve(++calls), { warmup: 2, runs: 3 })).to.deep.equal([3, 4, 5])
  })

  it('sums steps by op and phase, the longest first', () => {
    const steps = [step('conv', 'forward', 0.1), step('sgd', 'update', 0), step('conv', 'backward', 0.7), step('conv', 'forward', 0.2)]
    const ops = timesByOp(steps)
    expect(ops.map(({ op, phase, steps: count }) => [op, phase, count])).to.deep.equal([
      ['conv', 'backward', 1],
      ['conv', 'forward', 2],
      ['sgd', 'update', 1],
    ])
    expect(ops[1]!.share).to.be.closeTo(0.3, 1e-12)
    expect(ops[1]!.flopsPerSecond).to.be.closeTo(2e9 / 0.3, 1)
    expect(ops[2]).to.include({ seconds: 0, share: 0, flopsPerSecond: null })
    expect(timesByOp([step('sgd', 'update', 0)])[0]!.share).to.equal(0)
  })

  it('prints times only where they were measured, and a dash where nothing is counted', () => {
    const steps = [step('conv', 'forward', 0.1), step('sgd', 'update', 0)]
    const [header, first, refusal, second] = planTable(steps)
    expect(header).to.match(/^phase +layer +op +candidate +MFLOP +MiB +ms +GFLOP\/s +GB\/s$/)
    expect(first).to.match(/^forward +conv1 +conv +plain +1000\.0 +953\.67 +100\.000 +10\.0 +10\.0$/)
    expect(refusal).to.equal('    not fast: too odd')
    expect(second).to.match(/ - +- +-$/)
    const bare = planTable(steps.map(({ flopsPerSecond: _f, bytesPerSecond: _b, ...rest }) => rest))
    expect(bare[0]).to.match(/MiB$/)
    expect(opTable(timesByOp(steps))[1]).to.match(/^conv +forward +1 +100\.0 % +100\.000/)
  })
})
