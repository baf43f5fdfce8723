import { expect } from 'chai'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Model } from '../../lib/model/model.js'
import type { PredictOptions } from '../../lib/model/predict.js'
import { topClasses } from '../../lib/model/predict.js'
import { createModel } from '../../lib/model/registry.js'
import { rgbPng } from '../data/make-png.js'
import { temporaryFolder } from '../support/temp.js'
import { rejected } from '../support/thrown.js'

describe('predict', () => {
  const folder = temporaryFolder()
  const side = 32
  let model: Model

  /** A picture whose pixels follow from `seed`, as the bytes of a PNG and as numbers. */
  function picture(seed: number): { png: Uint8Array; rgb: Uint8Array } {
    const rgb = new Uint8Array(side * side * 3).map((_, i) => (i * 7 * (seed + 1) + (i >> 5) * seed) & 255)
    return { png: rgbPng(side, side, rgb), rgb }
  }

  before(() => {
    model = createModel('sknet_tiny_cifar', { classes: 4 })
    for (const [name, data] of model.weights()) if (name.startsWith('fc.')) data.forEach((_, i) => (data[i] = 0.1 * Math.sin(i * 3)))
    model.classNames = ['a', 'b', 'c', 'd']
    model.preprocessing = { ...model.preprocessing, resize: 0, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] }
  })
  after(() => model[Symbol.asyncDispose]())

  it('gives the classes of forward on the normalised pixels, for paths and bytes in any mixture', async () => {
    const pictures = [0, 1, 2, 3].map(picture)
    const paths = pictures.map(({ png }, i) => {
      const path = join(folder(), `${i}.png`)
      writeFileSync(path, png)
      return path
    })
    const { mean, std } = model.preprocessing
    const x = Float32Array.from(
      pictures.flatMap(({ rgb }) => [...rgb]),
      (v, i) => (v / 255 - mean[i % 3]!) / std[i % 3]!,
    )
    const { logits } = await model.forward(x, { shape: [4, side, side, 3] })
    const inputs = [paths[0]!, pictures[1]!.png, Buffer.from(pictures[2]!.png), paths[3]!]
    const predictions = await model.predict(inputs, { topk: 4 })
    expect(predictions.map(({ path }) => path)).to.deep.equal([paths[0], null, null, paths[3]])
    predictions.forEach(({ top }, i) => {
      const own = Array.from(logits.subarray(i * 4, i * 4 + 4))
      const total = own.reduce((sum, v) => sum + Math.exp(v), 0)
      expect(top.map(({ index }) => index)).to.deep.equal([0, 1, 2, 3].sort((a, b) => own[b]! - own[a]!))
      for (const { index, label, score } of top) {
        expect(label).to.equal('abcd'[index])
        expect(score).to.be.closeTo(Math.exp(own[index]!) / total, 1e-5)
      }
      expect(top.reduce((sum, { score }) => sum + score, 0)).to.be.closeTo(1, 1e-12)
    })
    expect(new Set(predictions.map(({ top }) => top[0]!.score)).size, 'pictures that differ').to.be.above(1)
  })

  it('takes more pictures than one batch', async () => {
    const paths = Array.from({ length: 70 }, (_, i) => {
      const path = join(folder(), `many-${i}.png`)
      writeFileSync(path, picture(i).png)
      return path
    })
    const all = await model.predict(paths)
    expect(all.map(({ path }) => path)).to.deep.equal(paths)
    const alone = await model.predict([paths[69]!])
    expect(all[69]!.top[0]!.index).to.equal(alone[0]!.top[0]!.index)
    expect(all[69]!.top[0]!.score).to.be.closeTo(alone[0]!.top[0]!.score, 1e-5)
    expect(all[0]!.top).to.have.length(4)
  })

  it('crops and resizes as told', async () => {
    const { png } = picture(5)
    const [plain] = await model.pictureLogits([png])
    const [cropped] = await model.pictureLogits([png], { crop: 16 })
    const [enlarged] = await model.pictureLogits([png], { resize: 64, crop: 32, interpolation: 'bicubic' })
    for (const other of [cropped, enlarged]) expect([...other!.logits]).to.not.deep.equal([...plain!.logits])
    expect((await model.predict([])).length).to.equal(0)
  })

  it('shrinks a large picture for a model whose data came in its own size, unless told not to', async () => {
    const { rgb } = picture(2)
    const twice = Array.from({ length: 64 * 64 * 3 }, (_, i) => rgb[((i / 384) | 0) * 96 + ((((i / 3) | 0) % 64) >> 1) * 3 + (i % 3)]!)
    const large = rgbPng(64, 64, twice)
    const [shrunk] = await model.pictureLogits([large])
    const [centre] = await model.pictureLogits([large], { resize: 0 })
    const [told] = await model.pictureLogits([large], { resize: 32 })
    expect([...shrunk!.logits]).to.deep.equal([...told!.logits])
    expect([...shrunk!.logits]).to.not.deep.equal([...centre!.logits])
    const [plain] = await model.pictureLogits([picture(2).png])
    const [same] = await model.pictureLogits([picture(2).png], { resize: 0 })
    expect([...plain!.logits]).to.deep.equal([...same!.logits])
  })

  it('names the picture that cannot be decoded', async () => {
    const path = join(folder(), 'bad.png')
    writeFileSync(path, picture(1).png.subarray(0, 60))
    const good = join(folder(), 'good.png')
    writeFileSync(good, picture(1).png)
    const missing = join(folder(), 'missing.png')
    const bad: [(string | Uint8Array)[], string][] = [
      [[good, path], path],
      [[missing], missing],
      [[good, Buffer.from('no picture')], 'images[1]'],
      [[new Uint8Array(0)], 'images[0]'],
    ]
    for (const [images, named] of bad) {
      const error = await rejected(() => model.predict(images))
      expect(error).to.include({ code: 'ERR_SKNET_DECODE', path: named, exitCode: 3 })
      expect(error.message).to.include(named)
    }
  })

  it('refuses bad options', async () => {
    const bad: [unknown, unknown, string, string][] = [
      ['cat.jpg', {}, 'ERR_SKNET_OPTION', 'images'],
      [[3], {}, 'ERR_SKNET_OPTION', 'images[0]'],
      [[''], {}, 'ERR_SKNET_OPTION', 'images[0]'],
      [[], { topk: 5 }, 'ERR_SKNET_OPTION', 'topk'],
      [[], { crop: 0 }, 'ERR_SKNET_OPTION', 'crop'],
      [[], { resize: -1 }, 'ERR_SKNET_OPTION', 'resize'],
      [[], { interpolation: 'nearest' }, 'ERR_SKNET_OPTION', 'interpolation'],
      [[], { top: 5 }, 'ERR_SKNET_OPTION', 'top'],
      [[], { device: 'cuda:99' }, 'ERR_SKNET_DEVICE', 'device'],
    ]
    for (const [images, options, code, option] of bad) {
      const error = await rejected(() => model.predict(images as string[], options as PredictOptions))
      expect(error, JSON.stringify(options)).to.include({ code, option })
    }
    expect(await rejected(() => (model.preprocessing = { ...model.preprocessing, std: [1, 1, 0] }))).to.include({
      option: 'preprocessing.std[2]',
    })
    expect(await rejected(() => (model.classNames = ['a']))).to.include({ option: 'classNames' })
  })

  it('sorts scores, the lower index first among equals', () => {
    const top = topClasses(Float32Array.of(1000, 999, 1000, -1000), 4, String)
    expect(top.map(({ index }) => index)).to.deep.equal([0, 2, 1, 3])
    expect(top[0]!.score).to.be.closeTo(1 / (2 + Math.exp(-1)), 1e-12)
  })
})
