/**
 * One process a run: the file `.lock` in the run folder says who has it. Two writers would remove each other's checkpoints. The lock of
 * a process that has ended is taken over. Whether one of this machine lives, the system says (process number and start time); the holder
 * on another machine or in another container, which cannot be asked, gives a sign of life by touching the file.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { open, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, isObject } from '../check.js'
import { SknetError } from '../errors.js'
import { guarded, type RunFolder } from './run-folder.js'

/** Milliseconds between signs of life, and how long one waits for another's. */
const BEAT = 2000
const PATIENCE = 3 * BEAT

/** Who has a run. */
interface Holder {
  pid: number
  /** Ticks from the start of the machine to that of the process; tells apart two processes that had the same number. */
  start: string | null
  /** Machine and process namespace within which `pid` means something. */
  place: string
  since: string
}

export interface RunLock {
  release(): Promise<void>
}

/**
 * Takes the run for this process until `release`.
 * @param patience milliseconds to wait for a sign of life from a holder elsewhere
 * @throws ERR_SKNET_RUN when another process, or another trainer of this one, has it; ERR_SKNET_CHECKPOINT_IO
 */
export async function lockRun(folder: RunFolder, patience = PATIENCE): Promise<RunLock> {
  const path = join(folder.dir, '.lock')
  const mine: Holder = { pid: process.pid, start: startOf('self'), place: thisPlace(), since: new Date().toISOString() }
  const text = `${JSON.stringify(mine)}\n`
  return guarded(path, 'The run cannot be locked', async () => {
    while (!(await create(path, text))) {
      const found = await content(path)
      if (found === null) continue
      if (await isHeld(path, found, patience)) throw inUse(folder, path, found)
      await takeAway(path, found)
    }
    const beat = setInterval(() => {
      const now = new Date()
      // A lock that cannot be touched is still there; who took the folder away meets that at the next checkpoint.
      void utimes(path, now, now).catch(() => undefined)
    }, BEAT).unref()
    return {
      release: async () => {
        clearInterval(beat)
        if ((await content(path)) === text) await rm(path, { force: true })
      },
    }
  })
}

/** false when there is one already. */
async function create(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx')
    try {
      await file.writeFile(text)
    } finally {
      await file.close()
    }
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function content(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
}

async function isHeld(path: string, text: string, patience: number): Promise<boolean> {
  const holder = parse(text)
  if (holder?.place === thisPlace()) return isRunning(holder)
  // Elsewhere, or its owner is just about to write who it is.
  const before = (await stat(path).catch(() => null))?.mtimeMs
  await sleep(patience)
  const after = (await stat(path).catch(() => null))?.mtimeMs
  return after !== before
}

/** Removes the lock of an ended process. Another that saw it too may have been quicker: then what was moved is its lock, and goes back. */
async function takeAway(path: string, expected: string): Promise<void> {
  const aside = `${path}-${randomBytes(6).toString('hex')}`
  await rename(path, aside).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  const moved = await content(aside)
  if (moved !== null && moved !== expected) await rename(aside, path)
  else await rm(aside, { force: true })
}

function inUse(folder: RunFolder, path: string, text: string): SknetError {
  const holder = parse(text)
  const who =
    holder === null ? 'another process' : holder.pid === process.pid && holder.place === thisPlace() ? 'this process' : named(holder)
  return new SknetError('ERR_SKNET_RUN', `The run in ${folder.dir} is in use by ${who}`, {
    path: folder.dir,
    got: holder ?? text,
    expected: 'a run that no other trainer is working on',
    hint: `Wait until it has ended, or name another run folder; ${path} says who has it`,
  })
}

function named({ pid, place, since }: Holder): string {
  const elsewhere = place === thisPlace() ? '' : ` on ${place.split(' ')[0]!}`
  return `process ${pid}${elsewhere}, which began at ${since}`
}

/** null for what is no holder, such as a file that was cut short. */
function parse(text: string): Holder | null {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value) || !Number.isSafeInteger(value.pid) || (value.pid as number) < 1) return null
    return {
      pid: value.pid as number,
      start: typeof value.start === 'string' ? value.start : null,
      place: typeof value.place === 'string' ? value.place : describe(value.place),
      since: typeof value.since === 'string' ? value.since : '?',
    }
  } catch {
    return null
  }
}

function isRunning({ pid, start }: Holder): boolean {
  const now = startOf(String(pid))
  return now !== null && (start === null || now === start)
}

/** Start of a process in ticks; null for one that is not there, or has ended and only waits to be collected. */
function startOf(pid: string): string | null {
  try {
    // The second field, the program's name in brackets, may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return /^[ZX]$/i.test(fields[0]!) ? null : fields[19]!
  } catch {
    return null
  }
}

function thisPlace(): string {
  const read = (get: () => string): string => {
    try {
      return get().trim()
    } catch {
      return '?'
    }
  }
  const boot = read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'))
  return `${hostname()} ${boot} ${read(() => readlinkSync('/proc/self/ns/pid'))}`
}
