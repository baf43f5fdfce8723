/**
 * The folder of a run: `config.json` (the options, in the form that `--config` reads), `env.json` (where it ran), `results.csv` (one row an
 * epoch), `events.ndjson` (everything that was told, of every attempt), `checkpoints/` and `best/`.
 */
import { appendFile, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { cpus, hostname, platform, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { SknetError } from '../errors.js'
import type { EpochEvent, TrainEvent } from './events.js'

export interface RunFolder {
  dir: string
  checkpoints: string
  best: string
}

const COLUMNS = [
  'epoch',
  'step',
  'lr',
  'loss',
  'accuracy',
  'valLoss',
  'top1',
  'top5',
  'rawTop1',
  'seconds',
  'imagesPerSecond',
  'waitShare',
  'badSamples',
] as const
const HEADER = COLUMNS.join(',')

export function runFolder(dir: string): RunFolder {
  return { dir, checkpoints: join(dir, 'checkpoints'), best: join(dir, 'best') }
}

/** Creates the folder where it is missing and proves that it can be written. Throws ERR_SKNET_CHECKPOINT_IO. */
export async function prepareRunFolder(folder: RunFolder): Promise<void> {
  await guarded(folder.dir, 'The run folder cannot be written', async () => {
    await mkdir(folder.checkpoints, { recursive: true })
    const probe = join(folder.dir, `.probe-${process.pid}`)
    const file = await open(probe, 'w')
    try {
      await file.writeFile('sknet')
      await file.sync()
    } finally {
      await file.close()
      await rm(probe, { force: true })
    }
  })
}

/** Removes what an earlier run left in the folder: its checkpoints, best weights, results and events. Other files stay. */
export async function clearRunFolder(folder: RunFolder): Promise<void> {
  await guarded(folder.dir, 'The earlier run in this folder cannot be removed', async () => {
    for (const name of ['checkpoints', 'best', 'results.csv', 'events.ndjson', 'config.json', 'env.json']) {
      await rm(join(folder.dir, name), { recursive: true, force: true })
    }
    await mkdir(folder.checkpoints, { recursive: true })
  })
}

/** Writes `config.json` and `env.json`. */
export async function describeRun(folder: RunFolder, config: Record<string, unknown>, versions: Record<string, string>): Promise<void> {
  const processor = cpus()[0]?.model ?? 'unknown'
  const machine = { hostname: hostname(), system: `${platform()} ${release()}`, processor, memoryBytes: totalmem() }
  const env = { ...versions, node: process.version, ...machine, pid: process.pid, started: new Date().toISOString(), command: process.argv }
  await replaceFile(join(folder.dir, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
  await replaceFile(join(folder.dir, 'env.json'), `${JSON.stringify(env, null, 2)}\n`)
}

/** Appends to `events.ndjson`, one JSON object a line. */
export async function logEvents(folder: RunFolder, events: readonly TrainEvent[]): Promise<void> {
  if (events.length === 0) return
  const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('')
  const path = join(folder.dir, 'events.ndjson')
  await guarded(path, 'The event log cannot be written', () => appendFile(path, lines))
}

/** Adds one epoch's row to `results.csv`. */
export async function addResult(folder: RunFolder, epoch: EpochEvent): Promise<void> {
  const rows = await readResults(folder)
  const raw = epoch.raw?.top1 ?? null
  const row = COLUMNS.map((column) =>
    text(column === 'rawTop1' ? raw : column === 'badSamples' ? epoch.badSamples.length : epoch[column]),
  ).join(',')
  await writeResults(folder, [...rows.filter((r) => r.epoch < epoch.epoch).map((r) => r.line), row])
}

/** Drops the rows of epochs after `epoch`, which a resumed run is going to write again. */
export async function trimResults(folder: RunFolder, epoch: number): Promise<void> {
  const rows = await readResults(folder)
  if (rows.some((row) => row.epoch > epoch))
    await writeResults(
      folder,
      rows.filter((row) => row.epoch <= epoch).map((row) => row.line),
    )
}

/** Writes beside and renames, so that a reader or a kill never sees half a file. */
export async function replaceFile(path: string, content: string): Promise<void> {
  await guarded(path, 'A file of the run cannot be written', async () => {
    await writeFile(`${path}.tmp`, content)
    await rename(`${path}.tmp`, path)
  })
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function readResults(folder: RunFolder): Promise<{ epoch: number; line: string }[]> {
  const path = join(folder.dir, 'results.csv')
  if (!(await exists(path))) return []
  const lines = await guarded(path, 'The results of the run cannot be read', () => readFile(path, 'utf8'))
  return lines
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
    .map((line) => ({ epoch: Number(line.split(',')[0]), line }))
}

function writeResults(folder: RunFolder, rows: readonly string[]): Promise<void> {
  return replaceFile(join(folder.dir, 'results.csv'), [HEADER, ...rows, ''].join('\n'))
}

function text(value: number | null): string {
  return value === null ? '' : String(value)
}

/** Runs `work`; what it throws becomes ERR_SKNET_CHECKPOINT_IO with the path, unless it is an SknetError already. */
export async function guarded<T>(path: string, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof SknetError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SknetError('ERR_SKNET_CHECKPOINT_IO', `${what}: ${reason}`, { path, expected: 'a folder that can be written', cause })
  }
}
