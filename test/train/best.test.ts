import { expect } from 'chai'
import { isBest, isBetter, progressAfter, stoppedImproving, type Progress } from '../../lib/train/best.js'
import { checkOptions, resolveOptions } from '../../lib/train/options.js'

const scores = (top1: number, loss = 1) => ({ top1, top5: top1, loss })
const options = (patience: number, minDelta = 0) =>
  resolveOptions([checkOptions({ 'earlyStop.patience': patience, 'earlyStop.minDelta': minDelta })])

describe('the best epoch and early stopping', () => {
  it('accuracies are better where they are higher, losses where they are lower, equal ones never', () => {
    expect(isBetter('top1', 0.5, 0.4)).to.equal(true)
    expect(isBetter('top5', 0.4, 0.4)).to.equal(false)
    expect(isBetter('loss', 0.3, 0.4)).to.equal(true)
    expect(isBetter('loss', 0.4, 0.4)).to.equal(false)
    expect(isBetter('top1', 0.5, 0.4, 0.1)).to.equal(false)
    expect(isBetter('loss', 0.2, 0.4, 0.1)).to.equal(true)
  })

  it('a loss that is no number is never the best, without scores nothing is', () => {
    const best = { value: 2, top1: 0.1, epoch: 1, step: 10 }
    expect(isBest('loss', scores(0.5, NaN), null)).to.equal(false)
    expect(isBest('loss', scores(0.5, NaN), best)).to.equal(false)
    expect(isBest('loss', scores(0, 1), best)).to.equal(true)
    expect(isBest('top1', null, null)).to.equal(false)
    expect(isBest('top1', scores(0), null)).to.equal(true)
  })

  it('stops after `patience` epochs that gain no more than minDelta', () => {
    const run = (patience: number, minDelta: number, accuracies: number[]): number => {
      let progress: Progress | null = null
      const chosen = options(patience, minDelta)
      for (const [i, top1] of accuracies.entries()) {
        progress = progressAfter(chosen, scores(top1), i + 1, progress)
        if (stoppedImproving(chosen, i + 1, progress)) return i + 1
      }
      return 0
    }
    expect(run(2, 0, [0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.9])).to.equal(6)
    expect(run(2, 0.15, [0.1, 0.2, 0.24, 0.9])).to.equal(3)
    expect(run(1, 0, [0.1, 0.2, 0.3])).to.equal(0)
    expect(run(0, 0, [0.3, 0.2, 0.1, 0])).to.equal(0)
  })
})
