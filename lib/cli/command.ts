/** What a command of the command line is, and how its arguments become values. */
import { parseArgs } from 'node:util'
import { nearest } from '../check.js'
import { SknetError } from '../errors.js'
import type { Output } from './output.js'

export interface Flag {
  /** switch: present or not. text, number: takes a value. list: text that may be given several times. */
  kind: 'switch' | 'text' | 'number' | 'list'
  /** The value's name in the help, such as N or DIR. */
  value?: string
  about: string
}

export interface Command {
  name: string
  about: string
  /** The arguments that are no flags, as the help shows them; none unless given. */
  positionals?: { usage: string; min: number; max: number }
  flags: Record<string, Flag>
  /** Runs and returns the exit code; what it throws is reported and decides the code by its cause. */
  run(args: Args, output: Output): Promise<number>
}

/** Checked arguments; what was not given is absent. */
export interface Args {
  positionals: string[]
  has(flag: string): boolean
  text(flag: string): string | undefined
  number(flag: string): number | undefined
  list(flag: string): string[]
}

/** Flags every command has. */
export const commonFlags: Record<string, Flag> = {
  json: { kind: 'switch', about: 'one JSON object a line on standard output, the result last' },
  help: { kind: 'switch', about: 'this text' },
}

/** Throws ERR_SKNET_OPTION for an unknown flag (with the nearest name), a missing or superfluous value, and a wrong count of arguments. */
export function parseCommand(command: Command, argv: readonly string[]): Args {
  const flags = { ...command.flags, ...commonFlags }
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [name, { type: flag.kind === 'switch' ? ('boolean' as const) : ('string' as const) }]),
  )
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true })
  const values = new Map<string, string[]>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind === 'option') {
      const value = checkFlag(flags, token.rawName, token.name, token.value)
      values.set(token.name, [...(values.get(token.name) ?? []), value])
    }
  }
  const args = argsOf(values, positionals)
  if (!args.has('help')) checkCount(command, positionals)
  return args
}

/** The help of one command. */
export function helpOf(command: Command): string {
  const flags = Object.entries({ ...command.flags, ...commonFlags })
  const names = flags.map(([name, flag]) => `--${name}${flag.kind === 'switch' ? '' : ` ${flag.value ?? 'X'}`}`)
  const width = Math.max(...names.map((name) => name.length)) + 2
  const lines = flags.map(([, flag], i) => `  ${names[i]!.padEnd(width)}${flag.about}`)
  const usage = ['sknet', command.name, command.positionals?.usage, '[options]'].filter((part) => part !== undefined).join(' ')
  return [`Usage: ${usage}`, '', command.about, '', 'Options', ...lines, ''].join('\n')
}

/** A usage error: exit code 2. */
export function usageError(message: string, option: string, details: { got?: unknown; expected?: string; hint?: string } = {}): SknetError {
  return new SknetError('ERR_SKNET_OPTION', message, { option, ...details })
}

function checkFlag(flags: Record<string, Flag>, raw: string, name: string, value: string | undefined): string {
  if (!raw.startsWith('--') || !Object.hasOwn(flags, name)) {
    const guess = nearest(name, Object.keys(flags))
    const hint = guess === null ? undefined : `Did you mean --${guess}?`
    throw usageError(`Unknown option ${raw}${guess === null ? '' : `; did you mean --${guess}?`}`, name, hint === undefined ? {} : { hint })
  }
  const flag = flags[name]!
  if (flag.kind === 'switch' && value !== undefined) throw usageError(`${raw} takes no value`, name, { got: value, expected: 'no value' })
  if (flag.kind === 'switch') return 'true'
  if (value === undefined || value === '') throw usageError(`${raw} needs a value`, name, { expected: flag.value ?? 'a value' })
  if (flag.kind === 'number' && !isNumber(value))
    throw usageError(`${raw} is '${value}'; expected a number`, name, { got: value, expected: 'a number' })
  return value
}

function isNumber(text: string): boolean {
  return text.trim() !== '' && Number.isFinite(Number(text))
}

function argsOf(values: Map<string, string[]>, positionals: string[]): Args {
  return {
    positionals,
    has: (flag) => values.has(flag),
    text: (flag) => values.get(flag)?.at(-1),
    number: (flag) => (values.has(flag) ? Number(values.get(flag)!.at(-1)) : undefined),
    list: (flag) => values.get(flag) ?? [],
  }
}

function checkCount(command: Command, positionals: readonly string[]): void {
  const { usage, min, max } = command.positionals ?? { usage: '', min: 0, max: 0 }
  if (positionals.length >= min && positionals.length <= max) return
  const expected = usage === '' ? 'no further arguments' : usage
  const message = positionals.length < min ? `sknet ${command.name} needs ${usage}` : `Unexpected argument '${positionals[max]}'`
  throw usageError(message, command.name, { got: positionals.length, expected })
}
