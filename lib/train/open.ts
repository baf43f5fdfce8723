/**
 * From a model, options and data to a session that can train: everything that can be wrong is found here, before the first step, and
 * nothing of an earlier run is touched before that.
 */
import { findCheckpoint, readCheckpoint } from '../checkpoint/checkpoint.js'
import type { Dataset } from '../data/dataset.js'
import { openLoader } from '../data/loader.js'
import { evalTransform, trainTransform } from '../data/transforms.js'
import type { Model } from '../model/model.js'
import { callNative, native, type Plan } from '../native.js'
import { totalSteps, type Schedule } from '../optim/schedule.js'
import { packageVersion } from '../analysis/version.js'
import { finishedSession, type Session } from './finished.js'
import { checkBatch, checkLabels } from './check-data.js'
import type { EvaluationSetup } from './evaluate.js'
import type { StartEvent, WarningEvent } from './events.js'
import type { TrainOptions } from './option-types.js'
import { checkMemory, inferencePlan, kernelChoices, threadCount, trainPlan, writeTensors } from './plans.js'
import { clearRunFolder, describeRun, prepareRunFolder, runFolder, trimResults, type RunFolder } from './run-folder.js'
import { TrainSession } from './session.js'
import { checkSameRun, dataIdentity, freshState, storedOptions, type RunIdentity, type RunState } from './state.js'

export interface FitData {
  train: Dataset
  val: Dataset | null
  signal: AbortSignal
  maxSteps: number
}

export interface TrainerSettings {
  options: TrainOptions
  recipe: string | null
  run: string | null
  fresh: boolean
}

/** The checkpoint that a run goes on from, read and found to belong to it. */
interface Resumed {
  path: string
  skipped: { path: string; reason: string }[]
  state: RunState
  isa: string
  values: ReadonlyMap<string, Float32Array>
  momentum: ReadonlyMap<string, Float32Array>
  ema: ReadonlyMap<string, Float32Array> | null
}

/** Side of the training input: the option, else what suits the data. */
export function trainingSize(options: TrainOptions, train: Dataset): number {
  return options.data.size ?? train.defaults.size
}

export async function openSession(model: Model, settings: TrainerSettings, data: FitData): Promise<Session> {
  const { options } = settings
  const { train, val } = data
  checkBatch(train, options)
  checkLabels(train, model.spec.classes)
  if (val !== null) checkLabels(val, model.spec.classes)

  const size = trainingSize(options, train)
  const threads = threadCount(options.threads)
  const folder = settings.run === null ? null : runFolder(settings.run)
  if (folder !== null) await prepareRunFolder(folder)
  const identity = identityOf(settings, train)
  const resumed = folder === null || settings.fresh ? null : await findState(folder, model, identity)

  const schedule = scheduleOf(options, train)
  if (resumed !== null && resumed.state.result !== null) {
    const start = startEvent(model, settings, data, { size, threads, schedule, resumed, memory: null })
    return finishedSession(model, resumed.ema ?? resumed.values, start, resumed.state.result, resumed.path)
  }

  const plans: Plan[] = []
  try {
    const plan = trainPlan(model, options, size)
    plans.push(plan)
    identity.kernels = kernelChoices(plan)
    const setup = val === null ? null : validationSetup(val, options, threads)
    const validation = setup === null ? null : { ...setup, plan: inferencePlan(model, setup.transform.height, setup.batchSize, threads) }
    if (validation !== null) plans.push(validation.plan)
    const memory = callNative(() => plan.memory())
    checkMemory([memory, ...(validation === null ? [] : [callNative(() => validation.plan.memory())])], options.batchSize)
    await fill(plan, model, options, resumed)

    const versions = { sknet: packageVersion(), node: process.version }
    if (folder !== null) await settleFolder(folder, settings, model, data, resumed, versions)
    return new TrainSession({
      model,
      options,
      schedule,
      folder,
      identity,
      versions,
      plan,
      openTraining: (epoch, skip) => openTraining(train, options, size, threads, epoch, skip),
      trainImages: train.size,
      validation,
      state: resumed?.state ?? freshState(),
      resumedFrom: resumed?.path ?? null,
      start: startEvent(model, settings, data, { size, threads, schedule, resumed, memory }),
      warnings: warningsOf(options, resumed, identity),
      signal: data.signal,
      maxSteps: data.maxSteps,
    })
  } catch (error) {
    for (const plan of plans) plan.dispose()
    throw error
  }
}

/** Steps are full batches; the incomplete rest of an epoch is left out. */
export function scheduleOf(options: TrainOptions, train: Dataset): Schedule {
  const { name, warmupEpochs, steps } = options.schedule
  const stepsPerEpoch = Math.floor(train.size / options.batchSize)
  return { name, lr: options.optimizer.lr, stepsPerEpoch, epochs: options.epochs, warmupEpochs, drops: steps }
}

function identityOf({ options, recipe }: TrainerSettings, train: Dataset): RunIdentity {
  const isa = callNative(() => native().cpuInfo()).isaInUse
  return { recipe, options: storedOptions(options), data: dataIdentity(train), isa, kernels: {} }
}

async function findState(folder: RunFolder, model: Model, identity: RunIdentity): Promise<Resumed | null> {
  const found = await findCheckpoint(folder.checkpoints)
  if (found === null) return null
  const { spec, values, momentum, ema, state } = await readCheckpoint(found.path)
  const stored = state as unknown as RunState & RunIdentity
  checkSameRun(folder.dir, stored, JSON.stringify(spec), identity, JSON.stringify(model.spec))
  const { step, epoch, cursor, sums, loss, lastEpoch, best, badSamples, seconds, result } = stored
  return {
    path: found.path,
    skipped: found.skipped,
    state: { step, epoch, cursor, sums, loss, lastEpoch, best, badSamples, seconds, result },
    isa: stored.isa,
    values,
    momentum: momentum ?? new Map<string, Float32Array>(),
    ema: ema ?? null,
  }
}

function validationSetup(val: Dataset, options: TrainOptions, threads: number): EvaluationSetup {
  const transform = evalTransform(val, options.eval)
  return { dataset: val, batchSize: Math.min(options.shardSize, val.size), transform, threads }
}

function openTraining(train: Dataset, options: TrainOptions, size: number, threads: number, epoch: number, skip: number) {
  return openLoader(train, {
    batchSize: options.batchSize,
    seed: options.seed,
    epoch,
    shuffle: true,
    dropLast: true,
    skipBatches: skip,
    transform: trainTransform(train, { augment: options.data.augment, size }),
    threads,
    ahead: 2,
    onBadSample: options.data.onBadSample,
  })
}

async function fill(plan: Plan, model: Model, options: TrainOptions, resumed: Resumed | null): Promise<void> {
  const values = resumed?.values ?? model.weights()
  await writeTensors(plan, 'value', values)
  if (resumed !== null) await writeTensors(plan, 'momentum', resumed.momentum)
  if (options.ema.decay > 0) await writeTensors(plan, 'ema', resumed?.ema ?? values)
}

/** The folder as this run needs it: emptied for a fresh one, without the rows that a resumed one writes again. */
async function settleFolder(
  folder: RunFolder,
  settings: TrainerSettings,
  model: Model,
  { train }: FitData,
  resumed: Resumed | null,
  versions: Record<string, string>,
): Promise<void> {
  if (settings.fresh) await clearRunFolder(folder)
  await trimResults(folder, resumed?.state.epoch ?? 0)
  const config = { sknet: versions.sknet, model: model.spec.arch, data: train.path, recipe: settings.recipe, ...settings.options }
  await describeRun(folder, config, { sknet: versions.sknet! })
}

function startEvent(
  model: Model,
  settings: TrainerSettings,
  { train, val }: FitData,
  more: Pick<StartEvent, 'size' | 'threads' | 'memory'> & { schedule: Schedule; resumed: Resumed | null },
): StartEvent {
  const { size, threads, memory, schedule, resumed } = more
  return {
    type: 'start',
    run: settings.run,
    model: model.spec.arch,
    params: model.params,
    classes: model.spec.classes,
    trainImages: train.size,
    valImages: val?.size ?? 0,
    size,
    epochs: schedule.epochs,
    stepsPerEpoch: schedule.stepsPerEpoch,
    totalSteps: totalSteps(schedule),
    threads,
    resumed:
      resumed === null ? null : { step: resumed.state.step, epoch: Math.min(resumed.state.epoch + 1, schedule.epochs), path: resumed.path },
    recipe: settings.recipe,
    options: settings.options,
    memory,
  }
}

function warningsOf(options: TrainOptions, resumed: Resumed | null, identity: RunIdentity): WarningEvent[] {
  const warnings: WarningEvent[] = (resumed?.skipped ?? []).map(({ path, reason }) => {
    return { type: 'warning', about: 'checkpoint-skipped', message: `${path} was skipped: ${reason}`, path, reason }
  })
  if (options.schedule.warmupEpochs > options.epochs) {
    const message = `The warm-up of ${options.schedule.warmupEpochs} epochs is longer than the run of ${options.epochs}`
    warnings.push({ type: 'warning', about: 'schedule', message })
  }
  if (resumed !== null && resumed.isa !== identity.isa) {
    const message = `The run began with ${resumed.isa} kernels and goes on with ${identity.isa}: its last bits will differ from an uninterrupted run`
    warnings.push({ type: 'warning', about: 'isa', message })
  }
  return warnings
}
