/**
 * Where a run stands: everything besides tensors that a resumed run needs, and the check that it is the same run. Random numbers are keyed by
 * (seed, epoch, sample), so there is no generator to save; the loader's place is the number of batches done.
 */
import { createHash } from 'node:crypto'
import type { Dataset } from '../data/dataset.js'
import { SknetError } from '../errors.js'
import type { BestEpoch, Progress } from './best.js'
import type { EpochEvent, TrainResult } from './events.js'
import { emptySums, type EpochSums } from './metrics.js'
import { flatten } from './options.js'
import type { TrainOptions } from './option-types.js'

export interface BadSampleRecord {
  path: string
  index: number
  reason: string
  split: 'train' | 'val'
  /** In which it was met first, from 1. */
  epoch: number
}

export interface RunState {
  /** Steps done. */
  step: number
  /** Epoch under way, from 0; equal to the number of epochs when the run is finished. */
  epoch: number
  /** Batches of that epoch done. All of them: its validation is still to come. */
  cursor: number
  sums: EpochSums
  /** Training loss of the last step. */
  loss: number | null
  lastEpoch: EpochEvent | null
  best: BestEpoch | null
  progress: Progress | null
  badSamples: BadSampleRecord[]
  /** Seconds of training since the run began, and of them those spent waiting for data. */
  seconds: number
  waitSeconds: number
  /** Set once the run is finished. */
  result: TrainResult | null
}

/** What makes a run this run; stored beside the state and compared on resume. */
export interface RunIdentity {
  recipe: string | null
  options: Record<string, unknown>
  data: { kind: string; images: number; classes: number; labels: string }
  /** Best instruction set of the kernels that ran; another one gives other last bits. */
  isa: string
  /** Where it ran, in words. */
  device: string
  /** `op/phase` -> the candidates that ran. */
  kernels: Record<string, string[]>
}

/** Options that may change between two parts of a run: they decide where and how often, not what. */
const MAY_DIFFER = new Set(['threads', 'device', 'checkpoint.every', 'checkpoint.keep', 'data.badSampleBudget', 'onNonFinite'])

export function freshState(): RunState {
  const none = { loss: null, lastEpoch: null, best: null, progress: null, badSamples: [], result: null }
  return { step: 0, epoch: 0, cursor: 0, sums: emptySums(), seconds: 0, waitSeconds: 0, ...none }
}

/** The options as they are stored and compared: flat, by path. */
export function storedOptions(options: TrainOptions): Record<string, unknown> {
  return Object.fromEntries(flatten(options))
}

/** Enough of the training data to notice that it is another set. */
export function dataIdentity(train: Dataset): RunIdentity['data'] {
  const labels = train.labels()
  const bytes = new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength)
  const hash = createHash('sha256').update(bytes).digest('hex')
  return { kind: train.kind, images: train.size, classes: train.classes, labels: hash }
}

/** Throws ERR_SKNET_RUN naming every difference between the run in the folder and the one asked for. */
export function checkSameRun(dir: string, stored: RunIdentity, storedSpec: NamedSpec, asked: RunIdentity, spec: NamedSpec): void {
  const differences = [
    ...modelDifference(storedSpec, spec),
    ...(stored.recipe === asked.recipe ? [] : [difference('recipe', stored.recipe, asked.recipe)]),
    ...differing('', stored.options, asked.options),
    ...differing('data.', stored.data, asked.data),
  ]
  if (differences.length === 0) return
  throw new SknetError('ERR_SKNET_RUN', `The run in ${dir} is another one: ${differences.join('; ')}`, {
    path: dir,
    option: differences[0]!.split(' ')[0]!,
    expected: 'the options the run was started with',
    hint: 'Repeat its options, name another run folder, or use fresh (--fresh) to start anew',
  })
}

interface NamedSpec {
  arch: string
  classes: number
}

function modelDifference(stored: NamedSpec, asked: NamedSpec): string[] {
  if (JSON.stringify(stored) === JSON.stringify(asked)) return []
  if (stored.arch !== asked.arch) return [difference('model', stored.arch, asked.arch)]
  if (stored.classes !== asked.classes) return [difference('classes', stored.classes, asked.classes)]
  return [`model is ${asked.arch} with other layers`]
}

function differing(prefix: string, stored: Record<string, unknown>, asked: Record<string, unknown>): string[] {
  return [...new Set([...Object.keys(stored), ...Object.keys(asked)])]
    .filter((key) => !MAY_DIFFER.has(key) && JSON.stringify(stored[key]) !== JSON.stringify(asked[key]))
    .map((key) => difference(prefix + key, stored[key], asked[key]))
}

function difference(name: string, stored: unknown, asked: unknown): string {
  return `${name} was ${JSON.stringify(stored)} and is ${JSON.stringify(asked)}`
}
