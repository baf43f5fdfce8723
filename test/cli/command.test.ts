import { expect } from 'chai'
import { helpOf, parseCommand, type Command } from '../../lib/cli/command.js'
import { SknetError } from '../../lib/errors.js'

const sample: Command = {
  name: 'sample',
  about: 'A command to test with.',
  positionals: { usage: 'NAME', min: 1, max: 1 },
  flags: {
    epochs: { kind: 'number', value: 'N', about: 'passes' },
    lr: { kind: 'text', value: 'X', about: 'rate' },
    set: { kind: 'list', value: 'path=value', about: 'any option' },
    fresh: { kind: 'switch', about: 'anew' },
  },
  run: () => Promise.resolve(0),
}

function refusal(...argv: string[]): SknetError {
  try {
    parseCommand(sample, argv)
  } catch (error) {
    if (error instanceof SknetError) return error
    throw error
  }
  throw new Error(`${argv.join(' ')} was accepted`)
}

describe('command line arguments', () => {
  it('become values', () => {
    const args = parseCommand(sample, ['x', '--epochs', '3', '--lr=0.1', '--fresh', '--set', 'a=1', '--set', 'b=2'])
    expect(args.positionals).to.deep.equal(['x'])
    expect(args.number('epochs')).to.equal(3)
    expect(args.text('lr')).to.equal('0.1')
    expect(args.has('fresh')).to.equal(true)
    expect(args.list('set')).to.deep.equal(['a=1', 'b=2'])
    expect(args.has('json')).to.equal(false)
    expect(args.number('lr')).to.equal(0.1)
    expect(parseCommand(sample, ['x']).number('epochs')).to.equal(undefined)
  })

  it('take the last of a repeated flag, and a value that begins with a dash', () => {
    expect(parseCommand(sample, ['x', '--lr', '1', '--lr', '2']).text('lr')).to.equal('2')
    expect(parseCommand(sample, ['x', '--lr', '-1']).text('lr')).to.equal('-1')
    expect(parseCommand(sample, ['--lr', '2', '--', '--name']).positionals).to.deep.equal(['--name'])
  })

  const bad: [string[], RegExp, string][] = [
    [['x', '--epoch', '3'], /Unknown option --epoch; did you mean --epochs\?/, 'epoch'],
    [['x', '--zzzzzzzz'], /Unknown option --zzzzzzzz$/, 'zzzzzzzz'],
    [['x', '-e', '3'], /Unknown option -e/, 'e'],
    [['x', '--epochs'], /--epochs needs a value/, 'epochs'],
    [['x', '--epochs='], /--epochs needs a value/, 'epochs'],
    [['x', '--epochs', 'three'], /--epochs is 'three'; expected a number/, 'epochs'],
    [['x', '--epochs', 'NaN'], /--epochs is 'NaN'/, 'epochs'],
    [['x', '--epochs', '1e309'], /--epochs is '1e309'/, 'epochs'],
    [['x', '--fresh=yes'], /--fresh takes no value/, 'fresh'],
    [['x', '--no-fresh'], /Unknown option --no-fresh/, 'no-fresh'],
    [[], /needs NAME/, 'sample'],
    [['x', 'y'], /Unexpected argument 'y'/, 'sample'],
    [['x', '--__proto__', '1'], /Unknown option --__proto__/, '__proto__'],
  ]
  for (const [argv, message, option] of bad) {
    it(`refuse ${argv.join(' ') || 'nothing'}`, () => {
      const error = refusal(...argv)
      expect(error.code).to.equal('ERR_SKNET_OPTION')
      expect(error.exitCode).to.equal(2)
      expect(error.message).to.match(message)
      expect(error.option).to.equal(option)
    })
  }

  it('may be missing when help is asked for', () => {
    expect(parseCommand(sample, ['--help']).has('help')).to.equal(true)
  })

  it('are all in the help', () => {
    const help = helpOf(sample)
    expect(help).to.match(/^Usage: sknet sample NAME \[options\]/)
    for (const flag of ['--epochs N', '--lr X', '--set path=value', '--fresh', '--json', '--help']) expect(help).to.include(flag)
  })
})
