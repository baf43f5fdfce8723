import { expect } from 'chai'
import type { SknetError } from '../../lib/errors.js'
import { checkOptions, resolveOptions } from '../../lib/train/options.js'
import { checkResolution, sizeOfEpoch } from '../../lib/train/resolution.js'

const data = (settings: object) => resolveOptions([checkOptions(settings)]).data

describe('progressive resolution', () => {
  it('is off unless startSize is set', () => {
    expect([0, 5, 99].map((epoch) => sizeOfEpoch(data({}), 224, epoch))).to.deep.equal([224, 224, 224])
  })

  it('grows between the two epochs in steps of 32, never backwards, and ends at the size', () => {
    const ramp = data({ 'data.startSize': 128, 'data.rampEpochs': [4, 12] })
    const sides = Array.from({ length: 16 }, (_, epoch) => sizeOfEpoch(ramp, 200, epoch))
    expect(sides).to.deep.equal([128, 128, 128, 128, 128, 128, 160, 160, 160, 160, 192, 192, 200, 200, 200, 200])
  })

  it('refuses a ramp without epochs, with one, and a start above the end', () => {
    const refusal = (settings: object): SknetError | null => {
      try {
        checkResolution(data(settings), 160)
        return null
      } catch (error) {
        return error as SknetError
      }
    }
    expect(refusal({ 'data.startSize': 128 })).to.have.property('option', 'data.rampEpochs')
    expect(refusal({ 'data.startSize': 128, 'data.rampEpochs': [3] })).to.have.property('option', 'data.rampEpochs')
    expect(refusal({ 'data.startSize': 192, 'data.rampEpochs': [3, 4] })).to.have.property('option', 'data.startSize')
    expect(refusal({ 'data.startSize': 160, 'data.rampEpochs': [3, 4] })).to.equal(null)
    expect(refusal({ 'data.rampEpochs': [3, 4] })).to.equal(null)
  })
})
