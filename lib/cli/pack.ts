/** `sknet pack`: a data set into tar shards, with a bar; the same line again goes on. */
import { join } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { detectDataset } from '../data/detect.js'
import { packDataset, type PackEvent, type PackOptions } from '../data/pack.js'
import { packModes } from '../data/pack-manifest.js'
import { packedFolders, verifyPacked } from '../data/verify-pack.js'
import { SknetError } from '../errors.js'
import { badSampleLimit, checkBadSamples, newBadSamples } from '../train/bad-samples.js'
import type { BadSampleRecord } from '../train/state.js'
import { usageError, type Args, type Command } from './command.js'
import { choice, wholeNumber } from './numbers.js'
import type { Output } from './output.js'
import { duration, mebibytes } from './progress.js'
import { required, threadsOf } from './shared-flags.js'
import { signalExitCodes, stopOnSignals, type Stop } from './stop.js'

export const packCommand: Command = {
  name: 'pack',
  about: 'Packs a data set into tar shards (WebDataset convention). The same line again goes on after the last whole shard.',
  flags: {
    data: { kind: 'text', value: 'PATH', about: 'CIFAR binaries, a folder of images or shards to pack anew' },
    out: { kind: 'text', value: 'DIR', about: 'where the shards go, into DIR/train and DIR/val' },
    split: { kind: 'text', value: 'S', about: 'both, train or val; default both' },
    mode: { kind: 'text', value: 'M', about: 'original files, jpeg (resized, encoded anew) or raw pixels (.npy)' },
    resize: { kind: 'number', value: 'N', about: 'shorter side of larger pictures, for jpeg and raw; default 256; 0: as they are' },
    quality: { kind: 'number', value: 'Q', about: 'of jpeg; default 90' },
    'shard-size': { kind: 'number', value: 'MIB', about: 'largest size of a shard; default 256' },
    order: {
      kind: 'text',
      value: 'O',
      about: 'shuffled or kept; default: the training split shuffled, so that neighbours are of all classes',
    },
    seed: { kind: 'number', value: 'S', about: 'decides the shuffled order; default 0' },
    info: { kind: 'switch', about: 'also a .json a sample with its path and class' },
    'bad-samples': {
      kind: 'number',
      value: 'X',
      about: 'unreadable images to be left out at most, a share below 1 or a count; default max(10, 0.01 %)',
    },
    threads: { kind: 'number', value: 'T', about: 'native threads; default: all' },
    verify: { kind: 'switch', about: 'read the shards in DIR again and compare; without --data that is all' },
    fresh: { kind: 'switch', about: 'remove the shards of an earlier packing in DIR' },
  },
  run: async (args, output) => {
    const out = required(args, 'pack', 'out', 'DIR', 'a folder for the shards')
    if (!args.has('data') && !args.has('verify')) throw usageError('sknet pack needs --data PATH', 'data', { expected: 'a data set' })
    const stop = stopOnSignals((signal) => output.warn(`${signal}: stopping; the shards that are whole stay`))
    try {
      const packed = args.has('data') ? await packSplits(args, out, stop, output) : {}
      if (stop.received() !== null) return signalExitCodes[stop.received()!]
      const verified = args.has('verify') ? await verifyAll(out, stop, output) : {}
      if (stop.received() !== null) return signalExitCodes[stop.received()!]
      output.emit({ type: 'result', out, ...packed, ...verified })
      return 0
    } finally {
      stop.release()
    }
  },
}

function optionsOf(args: Args): PackOptions {
  const mebibyte = 2 ** 20
  return {
    ...(args.has('mode') ? { mode: choice(args, 'mode', packModes) } : {}),
    ...(args.has('resize') ? { shortSide: wholeNumber(args, 'resize', 0, { min: 0, max: 65535 }) } : {}),
    ...(args.has('quality') ? { quality: wholeNumber(args, 'quality', 90, { min: 1, max: 100 }) } : {}),
    ...(args.has('shard-size') ? { shardBytes: wholeNumber(args, 'shard-size', 256, { min: 1, max: 2 ** 24 }) * mebibyte } : {}),
    ...(args.has('order') ? { shuffle: choice(args, 'order', ['shuffled', 'kept']) === 'shuffled' } : {}),
    seed: wholeNumber(args, 'seed', 0, { min: 0, max: Number.MAX_SAFE_INTEGER }),
    info: args.has('info'),
    fresh: args.has('fresh'),
    threads: threadsOf(args),
  }
}

async function packSplits(args: Args, out: string, stop: Stop, output: Output): Promise<Record<string, unknown>> {
  const asked = choice(args, 'split', ['both', 'train', 'val'])
  const budget = budgetOf(args)
  const options = optionsOf(args)
  const { train, val } = await detectDataset(
    required(args, 'pack', 'data', 'PATH', 'a data set'),
    {},
    asked === 'both' ? ['train', 'val'] : [asked],
  )
  // A data set that does not say which split it is counts as either; it is packed once.
  const sets = [train, val !== undefined && val.path === train?.path && val.size === train.size && asked === 'both' ? undefined : val]
  const results: Record<string, unknown> = {}
  for (const dataset of sets) {
    if (dataset === undefined || stop.received() !== null) continue
    for (const warning of dataset.warnings) output.warn(`warning: ${warning}`)
    const end = await packSplit(dataset, join(out, dataset.split), options, budget, stop, output)
    if (end !== null) results[dataset.split] = { images: end.images, bytes: end.bytes, shards: end.shards, bad: end.bad }
  }
  return results
}

function budgetOf(args: Args): number | null {
  const value = args.number('bad-samples')
  if (value === undefined) return null
  if (value >= 0 && (value < 1 || Number.isSafeInteger(value))) return value
  throw usageError(`--bad-samples is ${value}`, 'bad-samples', { got: value, expected: 'a share below 1, or a whole number of at least 0' })
}

/** null when it was stopped. */
async function packSplit(dataset: Dataset, dir: string, options: PackOptions, budget: number | null, stop: Stop, output: Output) {
  const limit = badSampleLimit(budget, dataset.size)
  let bad: BadSampleRecord[] = []
  const began = performance.now()
  let first: number | null = null
  let end: Extract<PackEvent, { type: 'end' }> | null = null
  for await (const event of packDataset(dataset, dir, options)) {
    output.emit({ ...event, type: `pack-${event.type}`, split: dataset.split })
    first ??= event.type === 'resumed' ? event.done : 0
    if (event.type === 'resumed') output.say(`${dir}: going on after ${event.shards} shards with ${event.images} images`)
    if (event.type === 'shard') bad = warnBad(bad, event.bad, limit, output)
    if (event.type === 'end') end = event
    else output.progress(bar(dataset.split, event.done, event.total, event.done - first, (performance.now() - began) / 1000))
    if (stop.received() !== null && end === null) return null
  }
  output.say(`${dir}: ${end!.images} images in ${end!.shards} shards, ${mebibytes(end!.bytes)}; ${end!.bad.length} left out`)
  return end
}

function warnBad(known: BadSampleRecord[], bad: readonly { index: number; path: string; reason: string }[], limit: number, output: Output) {
  const fresh = newBadSamples(known, bad, 'train', 1)
  for (const { path, reason } of fresh) output.warn(`warning: left out ${path}: ${reason}`)
  const all = [...known, ...fresh]
  checkBadSamples(all, limit)
  return all
}

/** One line: a bar, how many, how fast, how long still. */
export function bar(split: string, done: number, total: number, since: number, seconds: number): string {
  const width = 30
  const full = Math.floor((width * done) / Math.max(1, total))
  const rate = seconds > 0 ? since / seconds : 0
  const speed = `${rate.toFixed(rate < 10 ? 1 : 0)} img/s  ETA ${duration((total - done) / rate)}`
  return `${split} [${'#'.repeat(full)}${'.'.repeat(width - full)}] ${done}/${total}  ${speed}`
}

async function verifyAll(out: string, stop: Stop, output: Output): Promise<Record<string, unknown>> {
  const faults: { path: string; fault: string }[] = []
  let [shards, samples] = [0, 0]
  for (const folder of packedFolders(out)) {
    for await (const file of verifyPacked(folder)) {
      if (stop.received() !== null) return {}
      shards++
      samples += file.samples
      output.progress(`verified ${shards} shards, ${samples} images`)
      if (file.fault !== null) faults.push({ path: file.path, fault: file.fault })
    }
  }
  for (const { fault } of faults) output.warn(`damaged: ${fault}`)
  output.say(`${shards} shards with ${samples} images read again: ${faults.length === 0 ? 'all as packed' : `${faults.length} damaged`}`)
  if (faults.length > 0) {
    const { path, fault } = faults[0]!
    throw new SknetError('ERR_SKNET_DATA', fault, { path, got: `${faults.length} damaged shards`, expected: 'shards as they were packed' })
  }
  return { verified: { shards, images: samples } }
}
