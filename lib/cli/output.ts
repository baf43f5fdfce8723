/**
 * Where a command's words go. With --json standard output carries one JSON object a line and everything for people goes to standard
 * error; without it people's text is on standard output. Progress is rewritten in place on a terminal only.
 */
import { SknetError } from '../errors.js'
import type { LoadReport, Model } from '../model/model.js'

export interface Output {
  json: boolean
  /** One object on standard output; nothing without --json. */
  emit(object: Record<string, unknown>): void
  /** A line for people. */
  say(line: string): void
  /** A line for people that the next progress or say replaces; only on a terminal. */
  progress(line: string): void
  /** A line on standard error, in both modes. */
  warn(line: string): void
  /** true when progress lines are shown. */
  live: boolean
  bold(text: string): string
  dim(text: string): string
}

interface Sink {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

/** @param sinks standard output and error unless given (tests) */
export function createOutput(json: boolean, sinks: { out: Sink; err: Sink } = { out: process.stdout, err: process.stderr }): Output {
  const people = json ? sinks.err : sinks.out
  const live = people.isTTY === true
  const colour = live && (process.env.NO_COLOR ?? '') === ''
  let pending = false
  const clear = (): string => (pending ? '\r\x1b[2K' : '')
  const line = (sink: Sink, text: string): void => {
    if (pending) people.write(clear())
    pending = false
    sink.write(`${text}\n`)
  }
  return {
    json,
    live,
    emit: (object) => {
      if (json) sinks.out.write(`${JSON.stringify(object)}\n`)
    },
    say: (text) => line(people, text),
    warn: (text) => line(sinks.err, text),
    progress: (text) => {
      if (!live) return
      // Some pseudo-terminals say 0 columns.
      people.write(`${clear()}${text.slice(0, (people.columns || 120) - 1)}`)
      pending = true
    },
    bold: (text) => (colour ? `\x1b[1m${text}\x1b[0m` : text),
    dim: (text) => (colour ? `\x1b[2m${text}\x1b[0m` : text),
  }
}

/** Tells of an error, once for people and once for programs, and gives the exit code of its cause. */
export function reportError(error: unknown, output: Output): number {
  if (error instanceof SknetError) {
    const said = error.hint === undefined || error.message.toLowerCase().includes(error.hint.toLowerCase())
    output.warn(`sknet: ${error.message}${said ? '' : `. ${error.hint}`}`)
    output.emit({ type: 'error', code: error.code, message: error.message, ...detailsOf(error) })
    return error.exitCode
  }
  const message = error instanceof Error ? error.message : String(error)
  output.warn(`sknet: internal error: ${error instanceof Error ? (error.stack ?? message) : message}`)
  output.emit({ type: 'error', code: 'ERR_SKNET_INTERNAL', message })
  return 1
}

/** Names the damaged checkpoints that were passed over when the model's weights were looked for, and what else is to be known of them. */
export function warnSkipped({ report }: Pick<Model, 'report'>, output: Output): void {
  for (const { path, reason } of report?.skipped ?? []) output.warn(`warning: ${path} was skipped: ${reason}`)
  for (const note of report?.notes ?? []) output.warn(`warning: ${note}`)
}

/** What loading did, tensor by tensor where something is not as it should be. */
export function sayReport(report: LoadReport, output: Output): void {
  const { path, format, names, loaded, missing, unexpected, reshaped, replaced, nonFinite } = report
  output.say(`${path}: ${format}, names of ${names}, ${loaded.length} tensors loaded`)
  const list = (what: string, tensors: readonly string[]) => {
    if (tensors.length > 0)
      output.say(`  ${what}: ${tensors.slice(0, 20).join(', ')}${tensors.length > 20 ? `, ... (${tensors.length})` : ''}`)
  }
  list('missing, left fresh', missing)
  list('unexpected, left out', unexpected)
  list(
    'reshaped',
    reshaped.map(({ name, got, expected }) => `${name} ${got.join('x')} -> ${expected.join('x')}`),
  )
  list('replaced by a new head', replaced)
  list('not finite', nonFinite)
  warnSkipped({ report }, output)
}

function detailsOf(error: SknetError): Record<string, unknown> {
  const { option, path, tensor, got, expected, hint } = error
  const shown = typeof got === 'number' && !Number.isFinite(got) ? String(got) : typeof got === 'bigint' ? String(got) : got
  return { option, path, tensor, got: shown, expected, hint }
}
