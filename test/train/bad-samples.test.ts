import { expect } from 'chai'
import { SknetError } from '../../lib/errors.js'
import { badSampleLimit, badSampleWarning, checkBadSamples, newBadSamples } from '../../lib/train/bad-samples.js'

const bad = (index: number) => ({ index, path: `img-${index}.jpg`, reason: 'cut short' })

describe('bad samples', () => {
  it('allow max(10, 0.01 %) unless told otherwise, a share below 1, else a count', () => {
    expect(badSampleLimit(null, 500)).to.equal(10)
    expect(badSampleLimit(null, 1_281_167)).to.equal(128)
    expect(badSampleLimit(0.1, 500)).to.equal(50)
    expect(badSampleLimit(0, 500)).to.equal(0)
    expect(badSampleLimit(3, 500)).to.equal(3)
  })

  it('are told once each, training and validation apart', () => {
    const first = newBadSamples([], [bad(3), bad(3), bad(1)], 'train', 1)
    expect(first.map((record) => record.index)).to.deep.equal([3, 1])
    expect(newBadSamples(first, [bad(1), bad(4)], 'train', 1).map((record) => record.index)).to.deep.equal([4])
    expect(newBadSamples(first, [bad(1)], 'val', 1)).to.have.length(1)
    expect(badSampleWarning(first[0]!)).to.deep.include({ type: 'warning', path: 'img-3.jpg', reason: 'cut short' })
  })

  it('stop the run when there are more', () => {
    const records = newBadSamples([], [bad(1), bad(2)], 'train', 1)
    checkBadSamples(records, 2)
    expect(() => checkBadSamples(records, 1)).to.throw(SknetError, /2 images cannot be read, 1 are allowed.*img-2\.jpg/)
  })
})
