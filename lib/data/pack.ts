/**
 * Packing a data set into tar shards (WebDataset convention) with an index beside each and a `pack.json` over all. What was packed survives a kill: a
 * shard appears under its name once it is whole, and the same call again goes on after the last whole one. The bytes depend on the data and
 * the options only.
 */
import { createHash } from 'node:crypto'
import { mkdir, open, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { availableParallelism } from 'node:os'
import { badOption, boolean, integer, knownKeys, oneOf, optional, text } from '../check.js'
import { SknetError } from '../errors.js'
import { awaitNative, callNative } from '../native.js'
import type { BadSample, Packer } from '../native.js'
import { asDataset } from './dataset.js'
import type { Dataset } from './dataset.js'
import { packFormat, packManifest, packModes, readPackManifest } from './pack-manifest.js'
import type { PackManifest, PackMode, PackedShard } from './pack-manifest.js'
import { indexOf } from './packed.js'

export interface PackOptions {
  /** Default: 'original' for JPEG and PNG files ('jpeg' where shortSide is given), 'raw' for data sets of pixels. */
  mode?: PackMode
  /** Shorter side in pixels to which larger pictures are resized; 0: as they are. Default 256, for data sets of pixels 0. Not with 'original'. */
  shortSide?: number
  /** JPEG quality; default 90. */
  quality?: number
  /** Bytes of a shard, at most; default 256 MiB. */
  shardBytes?: number
  threads?: number
  /** In a permutation of `seed` instead of the data set's order; default: true for a training split, so that neighbours are of all classes. */
  shuffle?: boolean
  seed?: number
  /** Also KEY.json with the path and the class of each sample. */
  info?: boolean
  /** Remove what an earlier packing left in the folder. */
  fresh?: boolean
}

export type PackEvent =
  /** Shards that an earlier call has packed. */
  | { type: 'resumed'; shards: number; images: number; done: number; total: number }
  | { type: 'progress'; done: number; total: number }
  | { type: 'shard'; name: string; samples: number; bytes: number; bad: BadSample[]; done: number; total: number }
  | { type: 'end'; images: number; bytes: number; shards: number; bad: BadSample[]; done: number; total: number }

/** What earlier calls have done, in `.pack-progress.json` until pack.json takes its place. */
interface Progress {
  plan: string
  shards: (PackedShard & { to: number; bad: BadSample[] })[]
}

const progressFile = '.pack-progress.json'
const tellMs = 200
/** Shards and what goes with them; a fresh start removes nothing else. */
const ownFile = /^\.?(train|val)-\d{6}\.tar(\.index)?(\.tmp)?$/

/**
 * Packs `dataset` into the folder `dir`, telling how far it is a few times a second. Ending the iteration early leaves the whole shards for the
 * next call. Samples that cannot be read are left out and told; how many may be is up to the caller.
 * Throws ERR_SKNET_OPTION for options, ERR_SKNET_DATA where the folder holds another packing or cannot be written.
 */
export async function* packDataset(dataset: Dataset, dir: string, options?: PackOptions): AsyncGenerator<PackEvent, void, void> {
  const set = asDataset('dataset', dataset)
  if (set.feed !== null) badOption('dataset', set.kind, 'a data set of files, shards or arrays')
  const { threads, fresh, ...plan } = checkOptions(set, options)
  text('dir', dir)
  const key = planKey(set, plan)
  const progress = await openFolder(dir, set, key, fresh)
  const total = set.size
  let done = progress.shards.at(-1)?.to ?? 0
  if (progress.shards.length > 0) yield { type: 'resumed', shards: progress.shards.length, images: imagesOf(progress), done, total }

  const packer = callNative((binding) => new binding.Packer(set.open(), { ...plan, threads, from: done, root: set.path }))
  try {
    while (done < total) {
      const name = `${set.split}-${String(progress.shards.length).padStart(6, '0')}.tar`
      const shard = yield* writeShard(packer, dir, name, total)
      done = shard.to
      progress.shards.push({ name, bytes: shard.bytes, samples: shard.samples, to: shard.to, bad: shard.bad })
      await replace(dir, progressFile, JSON.stringify(progress))
      yield { type: 'shard', name, samples: shard.samples, bytes: shard.bytes, bad: shard.bad, done, total }
    }
  } finally {
    packer.dispose()
  }
  await replace(dir, packManifest, `${JSON.stringify(manifestOf(set, plan, progress), null, 2)}\n`)
  await rm(join(dir, progressFile), { force: true })
  const bytes = progress.shards.reduce((sum, shard) => sum + shard.bytes, 0)
  const bad = progress.shards.flatMap((shard) => shard.bad)
  yield { type: 'end', images: imagesOf(progress), bytes, shards: progress.shards.length, bad, done, total }
}

async function* writeShard(packer: Packer, dir: string, name: string, total: number) {
  const [tar, index] = [join(dir, `.${name}.tmp`), join(dir, `.${indexOf(name)}.tmp`)]
  let over = false
  const written = awaitNative(packer.writeShard(tar, index)).finally(() => (over = true))
  try {
    while (!over) {
      const timer = new AbortController()
      await Promise.race([written, pause(tellMs, timer.signal)])
      timer.abort()
      if (!over) yield { type: 'progress' as const, done: packer.done, total }
    }
  } finally {
    // Left early: the call in flight ends with the packer.
    written.catch(() => undefined)
  }
  const shard = await written
  await guarded(dir, async () => {
    await rename(tar, join(dir, name))
    await rename(index, join(dir, indexOf(name)))
    await syncFolder(dir)
  })
  return shard
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

function checkOptions(dataset: Dataset, options: PackOptions | undefined) {
  const names = ['mode', 'shortSide', 'quality', 'shardBytes', 'threads', 'shuffle', 'seed', 'info', 'fresh'] as const
  const given = knownKeys('', options, names)
  const pixels = dataset.kind === 'cifar10' || dataset.kind === 'cifar100' || dataset.kind === 'synthetic' || dataset.kind === 'arrays'
  const usual: PackMode = pixels ? 'raw' : given.shortSide === undefined ? 'original' : 'jpeg'
  const mode = optional(given.mode, usual, (value) => oneOf('mode', value, packModes))
  if (mode === 'original' && pixels) badOption('mode', mode, `jpeg or raw: ${dataset.kind} has pixels, no files to keep`)
  if (mode === 'original' && given.shortSide !== undefined)
    badOption('shortSide', given.shortSide, 'nothing: original keeps the files as they are')
  const side = mode === 'original' || pixels ? 0 : 256
  return {
    mode,
    shortSide: optional(given.shortSide, side, (value) => integer('shortSide', value, { min: 0, max: 65535 })),
    quality: optional(given.quality, 90, (value) => integer('quality', value, { min: 1, max: 100 })),
    shardBytes: optional(given.shardBytes, 2 ** 28, (value) => integer('shardBytes', value, { min: 1, max: Number.MAX_SAFE_INTEGER })),
    threads: optional(given.threads, availableParallelism(), (value) => integer('threads', value, { min: 1, max: 1024 })),
    shuffle: optional(given.shuffle, dataset.split === 'train', (value) => boolean('shuffle', value)),
    seed: optional(given.seed, 0, (value) => integer('seed', value, { min: 0, max: Number.MAX_SAFE_INTEGER })),
    info: optional(given.info, false, (value) => boolean('info', value)),
    fresh: optional(given.fresh, false, (value) => boolean('fresh', value)),
  }
}

type Plan = Omit<ReturnType<typeof checkOptions>, 'threads' | 'fresh'>

/** What decides the bytes, as far as it can be known before packing: the options, the samples' number and labels. */
function planKey(dataset: Dataset, plan: Plan): string {
  const { kind, split, classNames, size } = dataset
  const hash = createHash('sha256').update(JSON.stringify({ plan, kind, split, classNames, size }))
  return hash.update(dataset.labels()).digest('hex')
}

/** The folder, ready for the next shard. */
async function openFolder(dir: string, dataset: Dataset, plan: string, fresh: boolean): Promise<Progress> {
  const names = await guarded(dir, async () => {
    await mkdir(dir, { recursive: true })
    return readdir(dir)
  })
  if (fresh) {
    for (const name of names) if (ownFile.test(name) || name === packManifest || name === progressFile) await rm(join(dir, name))
    return { plan, shards: [] }
  }
  // What a kill left of a shard.
  for (const name of names) if (ownFile.test(name) && name.endsWith('.tmp')) await rm(join(dir, name))
  const manifest = readPackManifest(dir)
  const progress = manifest === null ? await readProgress(dir) : progressOf(manifest, dataset.size)
  const left = names.filter((name) => name.endsWith('.tar'))
  if (progress === null && left.length === 0) return { plan, shards: [] }
  if (progress?.plan !== plan) {
    const got = progress === null ? `shards such as ${left[0]}` : 'shards of other data or with other options'
    throw new SknetError('ERR_SKNET_DATA', `${dir} holds ${got}`, {
      path: dir,
      got,
      expected: 'an empty folder, or a packing of the same data with the same options to go on with',
      hint: 'Name another folder, or use fresh (--fresh) to remove them',
    })
  }
  return { plan, shards: await wholeShards(dir, progress) }
}

async function readProgress(dir: string): Promise<Progress | null> {
  const content = await readFile(join(dir, progressFile), 'utf8').catch(() => null)
  if (content === null) return null
  try {
    return JSON.parse(content) as Progress
  } catch {
    return { plan: 'unreadable', shards: [] }
  }
}

function progressOf(manifest: PackManifest & { plan?: string; bad?: BadSample[] }, size: number): Progress {
  const shards = manifest.shards.map((shard) => ({ ...shard, to: size, bad: [] as BadSample[] }))
  if (shards.length > 0) shards[0]!.bad = manifest.bad ?? []
  return { plan: manifest.plan ?? '', shards }
}

/** The shards up to the first one that is not there as it was written. */
async function wholeShards(dir: string, { shards }: Progress): Promise<Progress['shards']> {
  for (const [i, { name, bytes, samples }] of shards.entries()) {
    const path = join(dir, name)
    const found = await awaitNative((binding) => binding.verifyShard(path, indexOf(path), true)).catch(() => null)
    if (found === null || found.bytes !== bytes || found.samples !== samples) return shards.slice(0, i)
    shards[i]!.to = found.to
  }
  return shards
}

function manifestOf(dataset: Dataset, plan: Plan, progress: Progress): PackManifest & { plan: string; options: Plan; bad: BadSample[] } {
  const { split, classes, classNames, imageSize, defaults } = dataset
  const kept = imageSize !== null && (plan.shortSide === 0 || Math.min(imageSize.height, imageSize.width) <= plan.shortSide)
  return {
    format: packFormat,
    split,
    mode: plan.mode,
    classes,
    classNames: [...classNames],
    images: imagesOf(progress),
    imageSize: kept ? imageSize : null,
    defaults,
    plan: progress.plan,
    options: plan,
    bad: progress.shards.flatMap((shard) => shard.bad),
    shards: progress.shards.map(({ name, bytes, samples }) => ({ name, bytes, samples })),
  }
}

function imagesOf({ shards }: Progress): number {
  return shards.reduce((sum, { samples }) => sum + samples, 0)
}

/** Written beside and renamed: a reader or a kill never sees half a file. */
async function replace(dir: string, name: string, content: string): Promise<void> {
  await guarded(dir, async () => {
    await writeFile(join(dir, `.${name}.tmp`), content, { flush: true })
    await rename(join(dir, `.${name}.tmp`), join(dir, name))
    await syncFolder(dir)
  })
}

async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r')
  await folder.sync().finally(() => folder.close())
}

async function guarded<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SknetError('ERR_SKNET_DATA', `${dir} cannot be written: ${reason}`, {
      path: dir,
      got: reason,
      expected: 'a folder to write to',
      cause,
    })
  }
}
