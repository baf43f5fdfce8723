/** Trains a model: a whole run with fit, or single steps on batches of the caller's own. */
import { badOption, describe, integer, isObject, knownKeys } from '../check.js'
import { asDataset, type Dataset } from '../data/dataset.js'
import { resolveDevice } from '../device.js'
import { SknetError } from '../errors.js'
import { asModel, type Model } from '../model/model.js'
import { awaitNative, type MemoryReport, type Plan } from '../native.js'
import type { TrainEvent } from './events.js'
import type { Session } from './finished.js'
import { openSession, type FitData, type TrainerSettings } from './open.js'
import { checkOptions, resolveOptions } from './options.js'
import type { PartialTrainOptions, TrainOptions } from './option-types.js'
import { checkMemory, readTensorsNow, trainMemory, trainPlan, writeTensors } from './plans.js'
import { checkRecipe, defaultRecipe, type Recipe, type RecipeName } from './recipes.js'
import { checkBatch, type StepBatch } from './step-batch.js'

export interface TrainerOptions extends PartialTrainOptions {
  /** A recipe or its name; `cifar` for networks made for inputs below 64 pixels, else `large`. What is set beside it wins. */
  recipe?: Recipe | RecipeName
  /** Run folder: checkpoints, results, events. Where it holds a run with the same options, fit goes on with it. Without one nothing is kept. */
  run?: string
  /** true: an earlier run in the folder is removed, once everything else has been checked. */
  fresh?: boolean
}

export interface FitOptions {
  train: Dataset
  /** Judged after each epoch; without it there is no best/. */
  val?: Dataset
  /** Stops after the step under way: a checkpoint is written, an end event comes, then the loop throws an AbortError whose cause is the reason. */
  signal?: AbortSignal
  /** Stop, with a checkpoint, once the whole run has done this many steps. The schedule stays that of the whole run. */
  maxSteps?: number
}

/** Names beside the option paths that a configuration may hold. */
const OWN_OPTIONS = ['recipe', 'run', 'fresh'] as const

export class Trainer {
  readonly model: Model
  readonly options: TrainOptions
  readonly recipe: string
  readonly #settings: TrainerSettings
  readonly #closing = new AbortController()
  #stepPlan: Plan | null = null
  /** The model's, when the plan's weights were the newest. */
  #revision = 0
  /** Brings them to the model, unless they are there. */
  #fetchWeights: () => void = () => {}
  #busy = false
  #idle: Promise<void> = Promise.resolve()

  /** @throws ERR_SKNET_OPTION or ERR_SKNET_DEVICE, before anything is allocated */
  constructor(model: Model, options: TrainerOptions = {}) {
    const { recipe, run, fresh, ...rest } = checkTrainerOptions(options)
    this.model = asModel(model)
    const chosen = recipe ?? defaultRecipe(model.spec.input.size)
    this.recipe = chosen.name
    this.options = resolveOptions([checkOptions(chosen.options), checkOptions(rest, OWN_OPTIONS)])
    resolveDevice(this.options.device)
    this.#settings = { options: this.options, recipe: chosen.name, run, fresh }
  }

  /**
   * The whole run, or what is left of it. Leaving the loop early (break) writes a checkpoint as well. Afterwards the model holds the
   * trained weights; with an EMA the averaged ones.
   * @throws ERR_SKNET_RUN when the folder holds another run, ERR_SKNET_DATA, ERR_SKNET_OOM, ERR_SKNET_CHECKPOINT_IO before the first step;
   *   ERR_SKNET_DIVERGED, ERR_SKNET_BAD_SAMPLES and AbortError later, each after a checkpoint
   */
  async *fit(options: FitOptions): AsyncGenerator<TrainEvent, void, void> {
    const data = checkFitOptions(options, this.#closing.signal)
    const release = this.#occupy()
    let session: Session | null = null
    let failed = true
    try {
      this.#freeStepPlan()
      session = await openSession(this.model, this.#settings, data)
      // A consumer that breaks ends the generator at its yield: no exception passes here, and the session may still be saved.
      failed = false
      try {
        yield* session.events()
      } catch (error) {
        failed = true
        throw error
      }
    } finally {
      try {
        await session?.close(failed)
      } finally {
        release()
      }
    }
  }

  /**
   * One step on a batch of the caller's own, at the base learning rate unless `lr` is given. The model's weights follow: they are fetched
   * when they are next asked for, which throws ERR_SKNET_BUSY while a step is under way; weights that were set in between are trained on.
   * Momentum lives as long as the trainer does, and starts anew after fit.
   * @returns the mean loss of the batch before the step
   * @throws ERR_SKNET_OPTION for a batch of the wrong size, ERR_SKNET_DATA for a label that is no class, ERR_SKNET_DIVERGED (weights unchanged)
   */
  async step(batch: StepBatch, { lr = this.options.optimizer.lr }: { lr?: number } = {}): Promise<number> {
    const release = this.#occupy()
    try {
      const size = this.#stepSize()
      const { images, labels, labels2, mix } = checkBatch(batch, this.options.batchSize, size, this.model.spec)
      if (!(Number.isFinite(lr) && lr >= 0)) badOption('lr', lr, 'a finite number of at least 0')
      const plan = await this.#readyStepPlan(size)
      const chunk = await awaitNative(() => plan.trainBatch(images, labels, lr, labels2, mix))
      if (chunk.nonFinite !== null) {
        const { loss, gradNorm } = chunk.nonFinite
        const message = `The step diverged: loss ${loss}, gradient norm ${gradNorm}; the weights were not changed`
        throw new SknetError('ERR_SKNET_DIVERGED', message, {
          got: { loss: String(loss), gradNorm: String(gradNorm) },
          expected: 'finite numbers',
        })
      }
      this.#fetchWeights = this.model.followWeights(() => readTensorsNow(plan, 'value'))
      this.#revision = this.model.weightsRevision
      return chunk.loss[0]!
    } finally {
      release()
    }
  }

  /**
   * Bytes of the training plan, known before anything runs.
   * @param size side of the training input; data.size unless given, else the model's own
   */
  memoryReport({ size = this.#stepSize() }: { size?: number } = {}): MemoryReport {
    this.#checkOpen()
    return trainMemory(this.model, this.options, integer('size', size))
  }

  /** Frees native memory. A fit under way stops as by an abort; asyncDispose waits for that. Safe to call again. */
  dispose(): void {
    this.#closing.abort(new Error('the trainer was disposed'))
    if (!this.#busy) this.#freeStepPlan()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose()
    await this.#idle
    this.#freeStepPlan()
  }

  #stepSize(): number {
    return this.options.data.size ?? this.model.spec.input.size
  }

  /** The plan of single steps, with the model's weights as they are now. */
  async #readyStepPlan(size: number): Promise<Plan> {
    if (this.#stepPlan === null) {
      this.#stepPlan = await this.#openStepPlan(size)
    } else if (this.#revision !== this.model.weightsRevision) {
      await writeTensors(this.#stepPlan, 'value', this.model.weights())
    }
    return this.#stepPlan
  }

  async #openStepPlan(size: number): Promise<Plan> {
    const plan = await trainPlan(this.model, this.options, size)
    try {
      checkMemory([plan], this.options.batchSize)
      await writeTensors(plan, 'value', this.model.weights())
      if (this.options.ema.decay > 0) await writeTensors(plan, 'ema', this.model.weights())
      return plan
    } catch (error) {
      plan.dispose()
      throw error
    }
  }

  #freeStepPlan(): void {
    try {
      this.#fetchWeights()
    } finally {
      this.#stepPlan?.dispose()
      this.#stepPlan = null
    }
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw new SknetError('ERR_SKNET_DISPOSED', 'The trainer was disposed')
  }

  /** One fit or step at a time. */
  #occupy(): () => void {
    this.#checkOpen()
    if (this.#busy) throw new SknetError('ERR_SKNET_BUSY', 'The trainer is at work already', { expected: 'one fit or step at a time' })
    this.#busy = true
    let finish = (): void => {}
    this.#idle = new Promise((resolve) => {
      finish = resolve
    })
    return () => {
      this.#busy = false
      if (this.#closing.signal.aborted) this.#freeStepPlan()
      finish()
    }
  }
}

interface CheckedTrainerOptions extends PartialTrainOptions {
  recipe: Recipe | null
  run: string | null
  fresh: boolean
}

function checkTrainerOptions(options: unknown): CheckedTrainerOptions {
  if (!isObject(options)) badOption('options', options, 'an object of options')
  const { recipe, run, fresh, ...rest } = options as TrainerOptions
  if (run !== undefined && (typeof run !== 'string' || run === '')) badOption('run', run, 'the path of a folder')
  if (fresh !== undefined && typeof fresh !== 'boolean') badOption('fresh', fresh, 'true or false')
  return { ...rest, recipe: recipe === undefined ? null : checkRecipe(recipe), run: run ?? null, fresh: fresh ?? false }
}

function checkFitOptions(options: FitOptions, closing: AbortSignal): FitData {
  const { train, val, signal, maxSteps } = knownKeys('fit', options, ['train', 'val', 'signal', 'maxSteps'])
  if (signal !== undefined && !(signal instanceof AbortSignal)) badOption('fit.signal', describe(signal), 'an AbortSignal')
  return {
    train: asDataset('fit.train', train),
    val: val === undefined || val === null ? null : asDataset('fit.val', val),
    signal: signal === undefined ? closing : AbortSignal.any([signal, closing]),
    maxSteps: maxSteps === undefined ? Infinity : integer('fit.maxSteps', maxSteps),
  }
}
