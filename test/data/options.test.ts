/** Wrong options of the data functions: each names the option, what was got and what is expected, before anything is read. */
import { expect } from 'chai'
import { fromArrays, fromFiles } from '../../lib/data/arrays.js'
import { cifar10, cifar100 } from '../../lib/data/cifar.js'
import { decodeImage } from '../../lib/data/decode-image.js'
import { imageFolder } from '../../lib/data/image-folder.js'
import { loader } from '../../lib/data/loader.js'
import type { LoaderSettings } from '../../lib/data/loader.js'
import { evalTransform, trainTransform } from '../../lib/data/presets.js'
import { synthetic } from '../../lib/data/synthetic.js'
import { errorOf } from './helpers.js'

const set = synthetic({ split: 'train', count: 8 })
const photos = fromFiles(['a.jpg'])
const load = (settings: unknown) => () => loader(set, settings as LoaderSettings)
/** Calls a function with what its types forbid. */
const wrong = (f: unknown, ...args: unknown[]) => (f as (...args: unknown[]) => unknown)(...args)

const cases: [option: string, run: () => unknown][] = [
  ['batchSize', load({})],
  ['batchSize', load({ batchSize: 0 })],
  ['batchSize', load({ batchSize: 1.5 })],
  ['batchSize', load({ batchSize: '8' })],
  ['batchSize', load({ batchSize: 2 ** 31 })],
  ['seed', load({ batchSize: 1, seed: -1 })],
  ['seed', load({ batchSize: 1, seed: NaN })],
  ['epoch', load({ batchSize: 1, epoch: 2 ** 32 })],
  ['threads', load({ batchSize: 1, threads: 0 })],
  ['shuffle', load({ batchSize: 1, shuffle: 'yes' })],
  ['augment', load({ batchSize: 1, augment: 'resnet' })],
  ['onBadSample', load({ batchSize: 1, onBadSample: 'error' })],
  ['resize', load({ batchSize: 1, resize: 40 })],
  ['size', load({ batchSize: 1, size: 4, transform: evalTransform(set) })],
  ['transform', load({ batchSize: 1, transform: 'paper' })],
  ['batchsize', load({ batchsize: 1 })],
  ['options', load(7)],
  ['data.size', () => trainTransform(set, { size: 400 })],
  ['data.augment', () => trainTransform(photos, { augment: 'cifar' })],
  ['eval.crop', () => evalTransform(set, { crop: 0 })],
  ['eval.resize', () => evalTransform(set, { resize: -1 })],
  ['eval.interpolation', () => wrong(evalTransform, set, { interpolation: 'nearest' })],
  ['split', () => wrong(cifar10, '.', { split: 'dev' })],
  ['labels', () => wrong(cifar100, '.', { labels: 'both' })],
  ['dir', () => wrong(imageFolder, '')],
  ['maxPixels', () => imageFolder('.', { maxPixels: 0 })],
  ['classes', () => synthetic({ classes: 1 })],
  ['size', () => synthetic({ size: 2 })],
  ['count', () => synthetic({ count: 0 })],
  ['images', () => fromArrays({ images: new Uint8Array(11), labels: [0], height: 2, width: 2 })],
  ['labels[1]', () => fromArrays({ images: new Uint8Array(24), labels: [0, -1], height: 2, width: 2 })],
  ['classNames', () => fromArrays({ images: new Uint8Array(12), labels: [0], height: 2, width: 2, classes: 3, classNames: ['a'] })],
  ['labels', () => fromFiles(['a.png', 'b.png'], { labels: [0] })],
  ['image', () => wrong(decodeImage, 7)],
  ['maxPixels', () => decodeImage('a.png', { maxPixels: 0 })],
]

describe('data options', () => {
  for (const [option, run] of cases) {
    it(`${option}: ${run
      .toString()
      .replace(/^\(\) => /, '')
      .slice(0, 80)}`, async () => {
      const error = await errorOf(run)
      expect(error).to.include({ code: 'ERR_SKNET_OPTION', option, exitCode: 2 })
      expect(error.expected).to.be.a('string').and.not.equal('')
      expect(error.message).to.include(option)
    })
  }
})

describe('evaluation transform', () => {
  it('takes 256 and 224 for photographs, in proportion for other crops', () => {
    expect(evalTransform(photos)).to.include({ resize: 256, height: 224, width: 224, geometry: 'resize_crop', flip: 0 })
    expect(evalTransform(photos, { crop: 320 })).to.include({ resize: 366, height: 320 })
    expect(evalTransform(photos, { crop: 320, resize: 320, interpolation: 'bicubic' })).to.include({
      resize: 320,
      interpolation: 'bicubic',
    })
  })

  it('leaves small images as they are, or scales them to another size', () => {
    expect(evalTransform(set)).to.include({ resize: 0, height: 32 })
    expect(evalTransform(set, { crop: 48 })).to.include({ resize: 48, height: 48 })
  })
})
