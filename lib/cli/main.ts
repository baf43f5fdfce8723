#!/usr/bin/env node
/** Entry of the command line: finds the command, runs it, turns what it throws into a line and an exit code. */
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { nearest } from '../check.js'
import { benchCommand } from './bench.js'
import { helpOf, parseCommand, usageError, type Command } from './command.js'
import { demoCommand } from './demo.js'
import { doctorCommand } from './doctor.js'
import { evalCommand } from './eval.js'
import { explainCommand } from './explain.js'
import { lrFindCommand } from './lr-find.js'
import { exportCommand } from './export.js'
import { importCommand } from './import.js'
import { createOutput, reportError, type Output } from './output.js'
import { packCommand } from './pack.js'
import { predictCommand } from './predict.js'
import { summaryCommand } from './summary.js'
import { trainCommand } from './train.js'
import { verifyCommand } from './verify.js'
import { packageVersion } from '../version.js'

export const commands: readonly Command[] = [
  demoCommand,
  trainCommand,
  evalCommand,
  predictCommand,
  summaryCommand,
  packCommand,
  benchCommand,
  explainCommand,
  lrFindCommand,
  doctorCommand,
  importCommand,
  exportCommand,
  verifyCommand,
]

/** Part of the plan, not of this version: asking for one is told apart from a misspelt name. */
const missingCommands = ['attention', 'dashboard']

/**
 * Runs one command line.
 * @param argv the arguments after the program's name
 * @returns the exit code
 */
export async function main(argv: readonly string[], output = createOutput(argv.includes('--json'))): Promise<number> {
  try {
    return await dispatch(argv, output)
  } catch (error) {
    return reportError(error, output)
  }
}

export function generalHelp(): string {
  const width = Math.max(...commands.map((command) => command.name.length)) + 2
  const lines = commands.map((command) => `  ${command.name.padEnd(width)}${command.about.split('\n')[0]}`)
  return [
    'Usage: sknet COMMAND [options]',
    '',
    ...lines,
    '',
    'sknet COMMAND --help lists the options of one; sknet --version tells the version.',
  ].join('\n')
}

async function dispatch(argv: readonly string[], output: Output): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined) {
    output.warn(generalHelp())
    return 2
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    output.say(generalHelp())
    return 0
  }
  if (name === '--version' || name === '-v') {
    output.say(packageVersion())
    return 0
  }
  const command = commands.find((candidate) => candidate.name === name)
  if (command === undefined) throw unknownCommand(name)
  const args = parseCommand(command, rest)
  if (args.has('help')) {
    output.say(helpOf(command))
    return 0
  }
  return command.run(args, output)
}

function unknownCommand(name: string): Error {
  const names = commands.map((command) => command.name)
  if (missingCommands.includes(name))
    return usageError(`sknet ${name} is not in this version`, 'command', { got: name, expected: names.join(', ') })
  const guess = nearest(name, names)
  const hint = guess === null ? {} : { hint: `Did you mean sknet ${guess}?` }
  return usageError(`Unknown command ${name}${guess === null ? '' : `; did you mean sknet ${guess}?`}`, 'command', {
    got: name,
    expected: names.join(', '),
    ...hint,
  })
}

/** true when this file was started as the program, also through the link that npm makes. */
function startedAsProgram(): boolean {
  const started = process.argv[1]
  return started !== undefined && realpathSync(started) === fileURLToPath(import.meta.url)
}

if (startedAsProgram()) {
  // A reader that went away (`sknet train --json | head`) stops a training run like SIGTERM, others at once.
  let gone = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    if (gone) return
    gone = true
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(141)
  })
  process.exitCode = await main(process.argv.slice(2))
}
