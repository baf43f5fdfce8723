import { expect } from 'chai'
import { fromFiles } from '../../lib/data/arrays.js'
import { synthetic } from '../../lib/data/synthetic.js'
import { checkOptions, resolveOptions } from '../../lib/train/options.js'
import { trainingView, validationView } from '../../lib/train/views.js'

describe('views', () => {
  const small = synthetic({ split: 'val', count: 4, size: 32 })
  const photos = fromFiles(['a.jpg', 'b.jpg'], { labels: [0, 1] })
  const view = (dataset: typeof small, options: object) => {
    const { resize, height, width } = validationView(dataset, resolveOptions([checkOptions(options)]))
    expect(width).to.equal(height)
    return [resize, height]
  }

  it('judge photographs at the scale of training', () => {
    expect(view(photos, {})).to.deep.equal([256, 224])
    expect(view(photos, { data: { size: 64 } })).to.deep.equal([73, 64])
    expect(view(photos, { data: { size: 64 }, eval: { crop: 96 } })).to.deep.equal([110, 96])
    expect(view(photos, { data: { size: 64 }, eval: { resize: 64 } })).to.deep.equal([64, 64])
  })

  it('judge small images whole where training only crops them', () => {
    expect(view(small, {})).to.deep.equal([0, 32])
    expect(view(small, { data: { size: 24 } })).to.deep.equal([0, 32])
    expect(view(small, { data: { size: 24, augment: 'light' } })).to.deep.equal([24, 24])
    expect(view(small, { data: { size: 24, augment: 'none' } })).to.deep.equal([24, 24])
  })

  it('add colour jitter and RandAugment to the preset, in this order', () => {
    const options = resolveOptions([checkOptions({ data: { augment: 'senet', colorJitter: 0.4, randAugment: [2, 9] } })])
    const { effects } = trainingView(photos, options)
    expect(effects!.map((effect) => effect.kind)).to.deep.equal(['rotate', 'offset', 'color_jitter', 'rand_augment'])
    expect(effects![2]).to.include({ brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0 })
    expect(effects![3]).to.deep.include({ count: 2, magnitude: 9, fill: [124, 116, 104] })
    expect(trainingView(photos, resolveOptions([]))).to.not.have.property('effects')
    const none = resolveOptions([checkOptions({ data: { augment: 'none', randAugment: [2, 9] } })])
    expect(() => trainingView(photos, none))
      .to.throw()
      .with.property('option', 'data.augment')
  })

  it('without augmentation are one and the same', () => {
    const options = resolveOptions([checkOptions({ data: { size: 64, augment: 'none' } })])
    expect(trainingView(photos, options)).to.deep.equal(validationView(photos, options))
  })
})
