/**
 * From a model, options and data to a session that can train: everything that can be wrong is found here, before the first step, and
 * nothing of an earlier run is touched before that.
 */
import { basename, dirname } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { packageVersion } from '../version.js'
import type { Dataset } from '../data/dataset.js'
import { describeDevice, resolveDevice } from '../device.js'
import { SknetError } from '../errors.js'
import type { Model } from '../model/model.js'
import { callNative, type Plan } from '../native.js'
import { totalSteps, type Schedule } from '../optim/schedule.js'
import { checkBatch, checkLabels } from './check-data.js'
import type { StartEvent, WarningEvent } from './events.js'
import { finishedSession, type Session } from './finished.js'
import type { TrainOptions } from './option-types.js'
import { checkMemory, inferencePlan, kernelChoices, threadCount, trainPlan, writeTensors } from './plans.js'
import { findResumable, settleResumed, type Resumed } from './resume.js'
import { lockRun } from './run-lock.js'
import { checkResolution, sizeOfEpoch } from './resolution.js'
import { clearRunFolder, describeRun, prepareRunFolder, runFolder, trimResults, type RunFolder } from './run-folder.js'
import { TrainSession } from './session.js'
import { dataIdentity, freshState, storedOptions, type RunIdentity } from './state.js'
import {
  preprocessingOf,
  trainingBatches,
  trainingImageBytes,
  trainingSize,
  trainingView,
  validationSetup,
  validationView,
} from './views.js'

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

/** The run folder is locked from here until the session is closed. */
export async function openSession(model: Model, settings: TrainerSettings, data: FitData): Promise<Session> {
  checkData(model, settings.options, data.train, data.val)
  const views = viewsOf(settings.options, data)
  if (settings.run === null) return openUnlocked(model, settings, data, views, null)
  const folder = runFolder(settings.run)
  await prepareRunFolder(folder)
  const lock = await lockRun(folder)
  try {
    const session = await openUnlocked(model, settings, data, views, folder)
    return {
      events: () => session.events(),
      close: (failed) => session.close(failed).finally(() => lock.release()),
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** How the run looks at its data. Throws for options that do not fit it. */
function viewsOf(options: TrainOptions, { train, val }: FitData) {
  const threads = threadCount(options.threads)
  const size = trainingSize(options, train)
  checkResolution(options.data, size)
  const { startSize } = options.data
  for (const side of startSize === null ? [size] : [startSize, size]) trainingView(train, options, side)
  return { size, threads, setup: val === null ? null : validationSetup(val, options, threads) }
}

async function openUnlocked(
  model: Model,
  settings: TrainerSettings,
  data: FitData,
  { size, threads, setup }: ReturnType<typeof viewsOf>,
  folder: RunFolder | null,
): Promise<Session> {
  const { options } = settings
  const { train } = data
  const schedule = scheduleOf(options, train)
  const identity = identityOf(settings, train)
  const resumed = folder === null || settings.fresh ? null : await findResumable(folder, model, identity)
  const about = { size, threads, schedule, resumed }
  describeData(model, settings, data)
  if (resumed !== null && resumed.state.result !== null) {
    await settleResumed(folder!, resumed)
    const start = startEvent(model, settings, data, { ...about, memory: null })
    return finishedSession(model, resumed.ema ?? resumed.values, start, resumed.state.result, resumed.path)
  }

  const plans: Plan[] = []
  try {
    const planOf = (side: number): Promise<Plan> =>
      trainPlan(model, options, side, { imageBytes: trainingImageBytes(train, options, side) })
    const plan = await planOf(size)
    plans.push(plan)
    const validation =
      setup === null
        ? null
        : {
            ...setup,
            plan: await inferencePlan(
              model,
              setup.transform.height,
              setup.batchSize,
              { device: options.device, threads, imageBytes: setup.imageBytes },
              options.precision,
            ),
          }
    if (validation !== null) plans.push(validation.plan)
    checkMemory(plans, options.batchSize)
    identity.kernels = kernelChoices(plan)
    await fill(plan, model, options, resumed)
    const versions = { sknet: packageVersion(), node: process.version, device: identity.device }
    if (folder !== null) await settleFolder(folder, settings, model, train, resumed, versions)
    return new TrainSession({
      model,
      options,
      schedule,
      folder,
      identity,
      versions,
      plan,
      planOf,
      openTraining: (epoch, skip) => trainingBatches(train, options, threads, epoch, skip),
      sizeOf: (epoch) => sizeOfEpoch(options.data, size, epoch),
      size,
      trainImages: train.size,
      validation,
      state: resumed?.state ?? freshState(),
      resumedFrom: resumed?.path ?? null,
      start: startEvent(model, settings, data, { ...about, memory: callNative(() => plan.memory()) }),
      warnings: warningsOf(options, data, resumed, identity),
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

/** Throws for what the data cannot give: a full batch, labels that are classes of the model. */
export function checkData(model: Model, options: TrainOptions, train: Dataset, val: Dataset | null): void {
  checkBatch(train, options)
  checkLabels(train, model.spec.classes)
  if (val !== null) checkLabels(val, model.spec.classes)
  if (val === null && options.earlyStop.patience > 0) {
    const details = { option: 'earlyStop.patience', got: options.earlyStop.patience, expected: '0 without validation images' }
    throw new SknetError('ERR_SKNET_OPTION', 'earlyStop.patience needs validation images to judge by', details)
  }
}

/** Predictions with the trained model show pictures to it as validation does, and name classes as the data does. */
function describeData(model: Model, { options }: TrainerSettings, { train, val }: FitData): void {
  model.preprocessing = preprocessingOf(validationView(val ?? train, options))
  if (model.classNames === undefined && train.classes === model.spec.classes) model.classNames = [...train.classNames]
}

function identityOf({ options, recipe }: TrainerSettings, train: Dataset): RunIdentity {
  const isa = callNative((binding) => binding.cpuInfo()).isaInUse
  return {
    recipe,
    options: storedOptions(options),
    data: dataIdentity(train),
    isa,
    device: describeDevice(resolveDevice(options.device)),
    kernels: {},
  }
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
  train: Dataset,
  resumed: Resumed | null,
  versions: { sknet: string; device: string },
): Promise<void> {
  if (settings.fresh) await clearRunFolder(folder)
  if (resumed === null) await trimResults(folder, 0)
  else await settleResumed(folder, resumed)
  const dataset = basename(train.path) === train.split ? dirname(train.path) : train.path
  const built = Object.keys(model.builtWith).length > 0 ? { modelOptions: model.builtWith } : {}
  const config = { sknet: versions.sknet, model: model.spec.arch, ...built, dataset, recipe: settings.recipe, ...settings.options }
  await describeRun(folder, config, { sknet: versions.sknet, device: versions.device })
}

function startEvent(
  model: Model,
  settings: TrainerSettings,
  { train, val }: FitData,
  { schedule, resumed, ...more }: Pick<StartEvent, 'size' | 'threads' | 'memory'> & { schedule: Schedule; resumed: Resumed | null },
): StartEvent {
  const { epochs, stepsPerEpoch } = schedule
  const from = resumed === null ? null : { step: resumed.state.step, epoch: Math.min(resumed.state.epoch + 1, epochs), path: resumed.path }
  return {
    type: 'start',
    run: settings.run,
    model: model.spec.arch,
    params: model.params,
    classes: model.spec.classes,
    trainImages: train.size,
    valImages: val?.size ?? 0,
    epochs,
    stepsPerEpoch,
    totalSteps: totalSteps(schedule),
    resumed: from,
    recipe: settings.recipe,
    options: settings.options,
    ...more,
  }
}

function warningsOf(options: TrainOptions, { train, val }: FitData, resumed: Resumed | null, identity: RunIdentity): WarningEvent[] {
  const warnings: WarningEvent[] = (resumed?.skipped ?? []).map(({ path, reason }) => {
    return { type: 'warning', about: 'checkpoint-skipped', message: `${path} was skipped: ${reason}`, path, reason }
  })
  const warn = (about: string, message: string): void => void warnings.push({ type: 'warning', about, message })
  for (const message of new Set([...train.warnings, ...(val?.warnings ?? [])])) warn('data', message)
  const { warmupEpochs } = options.schedule
  if (warmupEpochs > options.epochs) warn('schedule', `The warm-up of ${warmupEpochs} epochs is longer than the run of ${options.epochs}`)
  if (resumed !== null && resumed.device !== identity.device) {
    const ways = `on ${resumed.device} and goes on on ${identity.device}`
    warn('device', `The run began ${ways}: its last bits will differ from those of an uninterrupted run`)
  } else if (resumed !== null && resumed.isa !== identity.isa) {
    const ways = `${resumed.isa} kernels and goes on with ${identity.isa}`
    warn('isa', `The run began with ${ways}: its last bits will differ from those of an uninterrupted run`)
  } else if (resumed !== null && resumed.kernels !== null && !isDeepStrictEqual(resumed.kernels, identity.kernels)) {
    const ops = Object.keys(identity.kernels).filter((op) => !isDeepStrictEqual(resumed.kernels![op], identity.kernels[op]))
    warn(
      'kernels',
      `Other kernels are chosen than the run began with (${ops.join(', ')}): its last bits will differ from those of an uninterrupted run`,
    )
  }
  return warnings
}
