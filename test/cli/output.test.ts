import { expect } from 'chai'
import { createOutput, reportError } from '../../lib/cli/output.js'
import { SknetError } from '../../lib/errors.js'

function sinks(isTTY = false) {
  const text = { out: '', err: '' }
  const sink = (name: 'out' | 'err') => ({ isTTY, columns: 40, write: (s: string) => (text[name] += s) })
  return { text, sinks: { out: sink('out'), err: sink('err') } }
}

describe('output', () => {
  it('without --json puts people text on standard output and no JSON', () => {
    const { text, sinks: s } = sinks()
    const output = createOutput(false, s)
    output.say('hello')
    output.emit({ type: 'result' })
    expect(text).to.deep.equal({ out: 'hello\n', err: '' })
  })

  it('with --json keeps standard output for objects, one a line', () => {
    const { text, sinks: s } = sinks()
    const output = createOutput(true, s)
    output.say('hello')
    output.emit({ type: 'step', text: 'a\nb' })
    output.emit({ type: 'result' })
    expect(
      text.out
        .split('\n')
        .filter(Boolean)
        .map((line) => (JSON.parse(line) as { type: string }).type),
    ).to.deep.equal(['step', 'result'])
    expect(text.err).to.equal('hello\n')
  })

  it('rewrites progress on a terminal only, cut to its width', () => {
    const quiet = sinks()
    createOutput(false, quiet.sinks).progress('x')
    expect(quiet.text.out).to.equal('')
    const live = sinks(true)
    const output = createOutput(false, live.sinks)
    output.progress('a'.repeat(100))
    output.progress('b')
    output.say('done')
    expect(live.text.out).to.equal(`${'a'.repeat(39)}\r\x1b[2Kb\r\x1b[2Kdone\n`)
  })

  it('shows progress in full where the terminal says it has no columns', () => {
    let out = ''
    const sink = { isTTY: true, columns: 0, write: (s: string) => (out += s) }
    createOutput(false, { out: sink, err: sink }).progress('step 1')
    expect(out).to.equal('step 1')
  })

  it('colours on a terminal only, and not with NO_COLOR', () => {
    const before = process.env.NO_COLOR
    try {
      delete process.env.NO_COLOR
      expect(createOutput(false, sinks(true).sinks).bold('x')).to.equal('\x1b[1mx\x1b[0m')
      expect(createOutput(false, sinks(false).sinks).bold('x')).to.equal('x')
      process.env.NO_COLOR = '1'
      expect(createOutput(false, sinks(true).sinks).bold('x')).to.equal('x')
    } finally {
      if (before === undefined) delete process.env.NO_COLOR
      else process.env.NO_COLOR = before
    }
  })

  it('tells an error to people in a line and to programs as the last object, and knows its exit code', () => {
    const { text, sinks: s } = sinks()
    const error = new SknetError('ERR_SKNET_OPTION', 'lr is NaN', {
      option: 'optimizer.lr',
      got: NaN,
      expected: 'a number',
      hint: 'Try 0.1',
    })
    expect(reportError(error, createOutput(true, s))).to.equal(2)
    expect(text.err).to.equal('sknet: lr is NaN. Try 0.1\n')
    expect(JSON.parse(text.out)).to.deep.equal({
      type: 'error',
      code: 'ERR_SKNET_OPTION',
      message: 'lr is NaN',
      option: 'optimizer.lr',
      got: 'NaN',
      expected: 'a number',
      hint: 'Try 0.1',
    })
    reportError(new SknetError('ERR_SKNET_OPTION', 'no x; did you mean y?', { hint: 'Did you mean y?' }), createOutput(false, s))
    expect(text.err.split('\n')[1]).to.equal('sknet: no x; did you mean y?')
    expect(reportError(new SknetError('ERR_SKNET_DIVERGED', 'x'), createOutput(true, s))).to.equal(4)
    expect(reportError(new SknetError('ERR_SKNET_CHECKPOINT_IO', 'x'), createOutput(true, s))).to.equal(7)
    expect(reportError(new TypeError('oops'), createOutput(true, s))).to.equal(1)
    expect(text.err).to.include('internal error: TypeError: oops')
  })
})
