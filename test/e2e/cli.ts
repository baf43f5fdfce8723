/** Runs the command line as a process of its own, as a user does. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const main = fileURLToPath(new URL('../../lib/cli/main.ts', import.meta.url))
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href

export interface Outcome {
  /** null when a signal ended it. */
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** The JSON objects on standard output. */
  events: Record<string, unknown>[]
  /** The last of them. */
  last: Record<string, unknown>
}

export interface Running {
  child: ChildProcess
  done: Promise<Outcome>
  /** Resolves when an event of that kind came (and `when` holds). */
  seen(when: (event: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>
}

export function start(args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Running {
  const child = spawn(process.execPath, ['--import', tsx, main, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  const events: Record<string, unknown>[] = []
  let waiting: { when: (event: Record<string, unknown>) => boolean; resolve: (event: Record<string, unknown>) => void }[] = []
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    for (const line of lines.filter((l) => l.startsWith('{'))) {
      const event = JSON.parse(line) as Record<string, unknown>
      events.push(event)
      for (const { resolve } of waiting.filter(({ when }) => when(event))) resolve(event)
      waiting = waiting.filter(({ when }) => !when(event))
    }
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const done = new Promise<Outcome>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr, events, last: events.at(-1) ?? {} }))
  })
  const seen = (when: (event: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> => {
    const past = events.find(when)
    if (past !== undefined) return Promise.resolve(past)
    const ended = done.then(({ code, stderr: text }) => {
      throw new Error(`the process ended (${code}) before that event: ${text}`)
    })
    return Promise.race([new Promise<Record<string, unknown>>((resolve) => waiting.push({ when, resolve })), ended])
  }
  return { child, done, seen }
}

export function sknet(...args: string[]): Promise<Outcome> {
  return start(args).done
}

/** A folder that is gone after the test. */
export function temporaryFolder(): { path: () => string } {
  let dir = ''
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sknet-e2e-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }))
  return { path: () => dir }
}
