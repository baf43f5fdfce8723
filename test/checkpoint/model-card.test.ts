import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadModel } from '../../lib/model/load.js'
import { createModel } from '../../lib/model/registry.js'
import { temporaryFolder } from '../support/temp.js'

describe('model card', () => {
  const folder = temporaryFolder()
  const dir = () => join(folder(), 'model')
  const card = () => readFileSync(join(dir(), 'README.md'), 'utf8')
  const model = createModel('sknet_tiny_cifar', { classes: 2 })

  it('tells labels, origin, metrics, preprocessing and the true hashes', async () => {
    model.classNames = ['cat', 'dog']
    model.info = { recipe: 'cifar', epochs: 12, metrics: { top1: 0.91, loss: 0.3 }, options: { 'optimizer.lr': 0.1 } }
    await model.save(dir())
    const text = card()
    expect(text).to.include('# sknet\\_tiny\\_cifar, 2 classes')
    for (const part of ['| recipe | cifar |', '| top1 | 0.91 |', '| optimizer.lr | 0.1 |', '0. cat\n1. dog', '| crop | 32 |']) {
      expect(text).to.include(part)
    }
    for (const name of ['model.safetensors', 'config.json']) {
      const bytes = readFileSync(join(dir(), name))
      expect(text).to.include(`| ${name} | ${bytes.length} | \`${createHash('sha256').update(bytes).digest('hex')}\` |`)
    }
    const loaded = await loadModel(dir())
    expect(loaded.info).to.deep.equal(model.info)
    await loaded.save(join(folder(), 'w.safetensors'))
    expect((await loadModel(join(folder(), 'w.safetensors'))).info).to.deep.equal(model.info)
  })

  it('is written anew with the model, but never over a README of someone else', async () => {
    model.info = { recipe: 'large' }
    await model.save(dir())
    expect(card()).to.include('| recipe | large |')
    writeFileSync(join(dir(), 'README.md'), '# Mine\n')
    await model.save(dir())
    expect(card()).to.equal('# Mine\n')
  })

  it('shows names as text, whatever they hold', async () => {
    model.classNames = ['<img src=x onerror=alert(1)>', 'a|b\n# [c](d) `e`']
    const other = join(folder(), 'other')
    await model.save(other)
    const text = readFileSync(join(other, 'README.md'), 'utf8')
    expect(text).to.not.include('<img').and.not.include('\n# [c]')
    expect(text).to.include('a\\|b \\# \\[c\\](d) \\`e\\`')
  })
})
