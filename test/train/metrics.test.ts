import { expect } from 'chai'
import type { TrainChunk } from '../../lib/native.js'
import { addChunk, emptySums, epochMeans, rate } from '../../lib/train/metrics.js'

const losses = [1.1, 0.7, 1e-9, 2.3, 0.30000001]

function chunk(from: number, to: number): TrainChunk {
  const loss = Float64Array.from(losses.slice(from, to))
  const ones = Float64Array.from(loss, () => 0.5)
  return {
    steps: loss.length,
    loss,
    correct: Int32Array.from(loss, (_, i) => from + i),
    gradNorm: ones,
    seconds: ones,
    waitSeconds: Float64Array.from(loss, () => 0.1),
    bad: [],
    endOfEpoch: false,
    voided: 0,
    nonFinite: null,
    resizedOnHost: 0,
  }
}

describe('metrics', () => {
  it('gives the same bits however the steps came in chunks', () => {
    const whole = addChunk(emptySums(), chunk(0, 5), 10)
    const parts = [chunk(0, 1), chunk(1, 1), chunk(1, 4), chunk(4, 5)].reduce((sums, part) => addChunk(sums, part, 10), emptySums())
    expect(parts).to.deep.equal(whole)
  })

  it('takes means over steps, images and seconds', () => {
    const means = epochMeans(addChunk(emptySums(), chunk(0, 5), 10))
    expect(means.loss).to.be.closeTo(losses.reduce((a, b) => a + b) / 5, 1e-15)
    expect(means.accuracy).to.equal((0 + 1 + 2 + 3 + 4) / 50)
    expect(means.imagesPerSecond).to.equal(50 / 2.5)
  })

  it('is zero, not NaN, before the first step', () => {
    expect(epochMeans(emptySums())).to.deep.equal({ loss: 0, accuracy: 0, imagesPerSecond: 0 })
    expect(rate(10, 0)).to.equal(0)
  })
})
