/** Native plans for a model: built from its layers, filled with its tensors, read back a few megabytes at a time. */
import { setImmediate } from 'node:timers/promises'
import { resolveDevice } from '../device.js'
import { SknetError } from '../errors.js'
import type { Model } from '../model/model.js'
import { awaitNative, callNative, native, type MemoryReport, type Plan, type PlanOptions, type Precision, type Section } from '../native.js'
import { planOptimizer } from '../optim/sgd.js'
import type { TrainOptions } from './option-types.js'

export type Tensors = Map<string, Float32Array>

/** Floats copied between two turns of the event loop: about a millisecond of work. */
const SLICE = 1 << 20

/** The plan of a training step for input of `size` x `size`. Its weights are still to be written. */
export async function trainPlan(model: Model, options: TrainOptions, size: number, reading: Reading = {}): Promise<Plan> {
  const tensors = model.tensors()
  const plan = await openPlan(trainPlanOptions(model, options, size, reading))
  // Weight decay goes to the plan by place, not by name.
  if (plan.tensors().some(({ name }, i) => name !== tensors[i]?.name)) {
    plan.dispose()
    throw new SknetError('ERR_SKNET_INTERNAL', 'The plan orders its tensors otherwise than the model does', {
      expected: 'the order of the layers',
    })
  }
  return plan
}

/** What such a plan would take, in bytes. */
export function trainMemory(model: Model, options: TrainOptions, size: number): MemoryReport {
  return callNative((binding) => binding.planMemory(trainPlanOptions(model, options, size)))
}

function trainPlanOptions(
  model: Model,
  options: TrainOptions,
  size: number,
  { timeSteps = false, imageBytes = 0 }: Reading = {},
): PlanOptions {
  return {
    layers: model.spec.layers,
    input: { height: size, width: size, channels: model.spec.input.channels },
    mode: 'train',
    shardSize: options.shardSize,
    shards: options.batchSize / options.shardSize,
    threads: threadCount(options.threads),
    device: resolveDevice(options.device),
    precision: options.precision,
    imageBytes,
    timeSteps,
    labelSmoothing: options.loss.labelSmoothing,
    optimizer: planOptimizer(options.optimizer, options.ema.decay, model.tensors()),
  }
}

/** As in PlanOptions. */
interface Reading {
  timeSteps?: boolean
  imageBytes?: number
}

export interface Where extends Reading {
  /** As asked for: auto, cpu, cuda, cuda:N or cuda-emulated. */
  device: string
  /** null: all that the process may use. */
  threads: number | null
}

/** A plan that evaluates up to `batchSize` images at a time. */
export function inferencePlan(model: Model, size: number, batchSize: number, where: Where, precision: Precision = 'fp32'): Promise<Plan> {
  return openPlan({
    layers: model.spec.layers,
    input: { height: size, width: size, channels: model.spec.input.channels },
    mode: 'infer',
    shardSize: batchSize,
    shards: 1,
    threads: threadCount(where.threads),
    device: resolveDevice(where.device),
    precision,
    imageBytes: where.imageBytes ?? 0,
    timeSteps: where.timeSteps ?? false,
  })
}

/** Native threads: what was asked for, else all that the process may use. */
export function threadCount(asked: number | null): number {
  return asked ?? callNative(() => native().cpuInfo()).threads
}

/** Throws ERR_SKNET_OOM when the plans together want more memory than the process can still get. A device gave what it was asked for. */
export function checkMemory(plans: readonly Plan[], batchSize: number): void {
  const onHost = plans.filter((plan) => plan.device() === 'cpu')
  const wanted = callNative(() => onHost.reduce((sum, plan) => sum + plan.memory().total, 0))
  const free = process.availableMemory()
  if (wanted <= free) return
  const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`
  throw new SknetError('ERR_SKNET_OOM', `Training needs ${mebibytes(wanted)} of memory and ${mebibytes(free)} are free`, {
    option: 'batchSize',
    got: batchSize,
    expected: 'a batch that fits into memory',
    hint: 'Choose a smaller batch or shard size, or a smaller input',
  })
}

/** Copies tensors into one section of a plan. */
export async function writeTensors(plan: Plan, section: Section, tensors: ReadonlyMap<string, Float32Array>): Promise<void> {
  let copied = 0
  for (const [name, data] of tensors) {
    callNative(() => plan.write(section, name, data))
    copied = await breathe(copied + data.length)
  }
}

/** Copies of all tensors of a section, by name. */
export async function readTensors(plan: Plan, section: Section): Promise<Tensors> {
  const tensors: Tensors = new Map()
  let copied = 0
  for (const { name, kind } of plan.tensors()) {
    if (section === 'momentum' && kind !== 'param') continue
    const data = callNative(() => plan.read(section, name))
    tensors.set(name, data)
    copied = await breathe(copied + data.length)
  }
  return tensors
}

/** The same at once, while nobody else is at work with the plan: ERR_SKNET_BUSY. */
export function readTensorsNow(plan: Plan, section: Section): Tensors {
  return new Map(plan.tensors().map(({ name }) => [name, callNative(() => plan.read(section, name))]))
}

/** `op/phase` -> the candidates that run it. */
export function kernelChoices(plan: Plan): Record<string, string[]> {
  const choices: Record<string, string[]> = {}
  for (const step of plan.steps()) {
    const of = (choices[`${step.op}/${step.phase}`] ??= [])
    if (!of.includes(step.candidate)) of.push(step.candidate)
  }
  return choices
}

function openPlan(options: PlanOptions): Promise<Plan> {
  return awaitNative((binding) => binding.openPlan(options))
}

async function breathe(copied: number): Promise<number> {
  if (copied < SLICE) return copied
  await setImmediate()
  return 0
}
