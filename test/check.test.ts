import { expect } from 'chai'
import * as check from '../lib/check.js'
import { SknetError } from '../lib/errors.js'
import { fromNative, helpFor } from '../lib/native.js'
import { thrown } from './support/thrown.js'

describe('check', () => {
  const bad: [string, () => unknown, unknown, string][] = [
    ['fraction', () => check.integer('a.b', 1.5), 1.5, 'a whole number of at least 1'],
    ['zero', () => check.integer('a.b', 0), 0, 'a whole number of at least 1'],
    ['text for a number', () => check.integer('a.b', '3'), '3', 'a whole number of at least 1'],
    ['above the range', () => check.integer('a.b', 9, { min: 0, max: 8 }), 9, 'a whole number from 0 to 8'],
    ['above 2^53', () => check.integer('a.b', 2 ** 53), 2 ** 53, 'a whole number of at least 1'],
    ['NaN', () => check.number('a.b', NaN), NaN, 'a finite number'],
    ['Infinity', () => check.number('a.b', Infinity, { min: 0 }), Infinity, 'a finite number of at least 0'],
    ['not a boolean', () => check.boolean('a.b', 1), 1, 'true or false'],
    ['empty text', () => check.text('a.b', ''), '', 'text that is not empty'],
    ['unknown choice', () => check.oneOf('a.b', 'bilinaer', ['bilinear', 'bicubic']), 'bilinaer', 'one of bilinear, bicubic'],
    ['no array', () => check.list('a.b', {}, check.integer), {}, 'an array'],
  ]
  for (const [name, run, got, expected] of bad) {
    it(`refuses: ${name}`, () => {
      const error = thrown(run)
      expect(error.code).to.equal('ERR_SKNET_OPTION')
      expect(error.option).to.equal('a.b')
      expect(error.got).to.deep.equal(got)
      expect(error.expected).to.equal(expected)
      expect(error.message).to.include('a.b').and.to.include(expected)
      expect(error.exitCode).to.equal(2)
    })
  }

  it('names the item of a list', () => {
    expect(thrown(() => check.list('blocks', [3, 0], check.integer)).option).to.equal('blocks[1]')
  })

  it('hints at the nearest name for an unknown key', () => {
    const error = thrown(() => check.knownKeys('', { clases: 10 }, ['classes', 'branches', 'groups']))
    expect(error.option).to.equal('clases')
    expect(error.hint).to.equal('Did you mean classes?')
    expect(thrown(() => check.knownKeys('', { qqqqqq: 1 }, ['classes'])).hint).to.equal(undefined)
    expect(thrown(() => check.knownKeys('', new Map(), ['classes'])).option).to.equal('options')
  })

  it('finds near names, and only near ones', () => {
    const names = ['sknet26', 'sknet50', 'resnext50_32x4d']
    expect(check.nearest('sknet05', names)).to.equal('sknet50')
    expect(check.nearest('SKNet50', names)).to.equal('sknet50')
    expect(check.nearest('resnext50', names)).to.equal('resnext50_32x4d')
    expect(check.nearest('vgg', names)).to.equal(null)
  })
})

describe('native errors', () => {
  it('become SknetError with their fields', () => {
    const raw = Object.assign(new Error('no such file'), { code: 'ERR_SKNET_DATA', path: '/x', expected: 'a file' })
    const error = fromNative(raw) as SknetError
    expect(error).to.be.instanceOf(SknetError)
    expect(error).to.include({ code: 'ERR_SKNET_DATA', path: '/x', expected: 'a file', message: 'no such file', cause: raw })
  })

  it('stay what they are where the code is not ours', () => {
    const raw = Object.assign(new Error('x'), { code: 'ENOENT' })
    expect(fromNative(raw)).to.equal(raw)
    expect(fromNative('text')).to.equal('text')
  })

  it('say how to get a binary, by what went wrong', () => {
    expect(helpFor("/lib/libc.so.6: version `GLIBC_2.38' not found")).to.match(/newer C/)
    expect(helpFor('x.node: invalid ELF header')).to.match(/damaged/)
    expect(helpFor('libjpeg.so.62: cannot open shared object file: No such file')).to.match(/scripts\/setup/)
    expect(helpFor('x.node: undefined symbol: f')).to.match(/build it again/)
    for (const reason of ['No native build was found', 'GLIBC_2', 'invalid ELF header', 'undefined symbol']) {
      expect(helpFor(reason)).to.include('npm run build:native')
    }
  })
})
