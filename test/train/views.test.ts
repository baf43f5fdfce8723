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

  it('without augmentation are one and the same', () => {
    const options = resolveOptions([checkOptions({ data: { size: 64, augment: 'none' } })])
    expect(trainingView(photos, options)).to.deep.equal(validationView(photos, options))
  })
})
