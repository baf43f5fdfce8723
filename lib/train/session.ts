/**
 * One call of fit: the plans, the batches, the run folder and the state, and what each hook of the loop (loop.ts) does with them.
 * Made by open.ts once everything was checked. `close` frees the native memory and leaves the trained weights in the model.
 */
import { copyAsBest, pruneCheckpoints, writeCheckpoint } from '../checkpoint/checkpoint.js'
import { SknetError } from '../errors.js'
import { awaitNative, callNative, type Loader, type Plan, type TrainChunk } from '../native.js'
import { judgedSection } from '../optim/ema.js'
import { learningRates, type Schedule } from '../optim/schedule.js'
import { abortError, cancellable } from './abort.js'
import { progressAfter, stoppedImproving } from './best.js'
import { badSampleLimit, badSampleWarning, checkBadSamples, newBadSamples } from './bad-samples.js'
import { evaluationLoader, runEvaluation } from './evaluate.js'
import type { CheckpointEvent, EndEvent, Scores, StartEvent, TrainEvent, TrainResult, WarningEvent } from './events.js'
import type { Session } from './finished.js'
import { trainLoop, type LoopHooks, type StopReason } from './loop.js'
import { addChunk, emptySums } from './metrics.js'
import { trainedInfo } from './model-info.js'
import type { TrainOptions } from './option-types.js'
import { readTensors, writeTensors } from './plans.js'
import type { EvaluationSetup } from './views.js'
import { addResult, logEvents, type RunFolder } from './run-folder.js'
import type { RunIdentity, RunState } from './state.js'
import { epochEvent, resultOf, stepEvent } from './tell.js'
import type { Model } from '../model/model.js'

export interface SessionParts {
  model: Model
  options: TrainOptions
  schedule: Schedule
  folder: RunFolder | null
  identity: RunIdentity
  versions: Record<string, string>
  plan: Plan
  /** One for images of `size`, without weights. */
  planOf: (size: number) => Promise<Plan>
  /** Side of the training input that `plan` is for. */
  size: number
  /** That of an epoch; the plan follows it. */
  sizeOf: (epoch: number) => number
  /** Opens the batches of an epoch, leaving out the first `skip`. */
  openTraining: (epoch: number, skip: number) => Loader
  trainImages: number
  validation: (EvaluationSetup & { plan: Plan }) | null
  state: RunState
  /** The checkpoint that `state` came from. */
  resumedFrom: string | null
  start: StartEvent
  warnings: WarningEvent[]
  signal: AbortSignal
  /** Steps of the whole run after which to stop. */
  maxSteps: number
}

/** Milliseconds one native call may take: a stop, an event or a checkpoint waits no longer than this and one step. */
const CHUNK_MS = 200

export class TrainSession implements LoopHooks, Session {
  state: RunState
  readonly stepsPerEpoch: number
  readonly #parts: SessionParts
  readonly #badLimit: number
  #plan: Plan
  #size: number
  #loader: Loader | null = null
  /** Checkpoint of exactly this state, null when there is none. */
  #checkpoint: string | null
  #ended = false

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.state = parts.state
    this.#plan = parts.plan
    this.#size = parts.size
    this.stepsPerEpoch = parts.schedule.stepsPerEpoch
    this.#checkpoint = parts.resumedFrom
    this.#badLimit = badSampleLimit(parts.options.data.badSampleBudget, parts.trainImages)
  }

  events(): AsyncGenerator<TrainEvent, void, void> {
    return trainLoop(this)
  }

  onStart(): AsyncGenerator<TrainEvent> {
    return this.#tell([this.#parts.start, ...this.#parts.warnings])
  }

  async openEpoch(): Promise<void> {
    this.#closeEpoch()
    await this.#fitPlan(this.#parts.sizeOf(this.state.epoch))
    if (this.state.cursor < this.stepsPerEpoch) this.#loader = this.#parts.openTraining(this.state.epoch, this.state.cursor)
  }

  stopReason(): StopReason | null {
    if (this.#parts.signal.aborted) return 'aborted'
    return this.state.step >= this.#parts.maxSteps ? 'maxSteps' : null
  }

  async trainChunk(): Promise<TrainChunk> {
    const { schedule, signal, maxSteps } = this.#parts
    const plan = this.#plan
    const loader = this.#loader!
    const until = Math.min(this.stepsPerEpoch - this.state.cursor, maxSteps - this.state.step, this.#stepsToCheckpoint())
    const lrs = learningRates(schedule, this.state.step, until)
    const cancel = (): void => plan.cancel()
    const chunk = await cancellable(signal, cancel, () => awaitNative(() => plan.trainSteps(loader, lrs, CHUNK_MS)))
    if (chunk.endOfEpoch && chunk.nonFinite === null && this.state.cursor + chunk.steps < this.stepsPerEpoch) {
      throw new SknetError('ERR_SKNET_INTERNAL', `The batches of epoch ${this.state.epoch + 1} ended early`, {
        got: this.state.cursor + chunk.steps,
        expected: `${this.stepsPerEpoch} batches`,
      })
    }
    return chunk
  }

  async *onSteps(chunk: TrainChunk): AsyncGenerator<TrainEvent> {
    const steps = Array.from({ length: chunk.steps }, (_, i) =>
      stepEvent(this.state, this.#parts.schedule, this.#parts.options.batchSize, chunk, i),
    )
    const sums = addChunk(this.state.sums, chunk, this.#parts.options.batchSize)
    const seconds = this.state.seconds + sums.seconds - this.state.sums.seconds
    const waitSeconds = this.state.waitSeconds + sums.waitSeconds - this.state.sums.waitSeconds
    const [step, cursor] = [this.state.step + chunk.steps, this.state.cursor + chunk.steps]
    if (chunk.steps > 0) {
      this.state = { ...this.state, step, cursor, sums, seconds, waitSeconds, loss: steps.at(-1)!.loss }
      this.#checkpoint = null
    }
    yield* this.#tell([...steps, ...this.#countBad(chunk.bad, 'train')])
    if (chunk.nonFinite !== null) yield* this.#onNonFinite(chunk.nonFinite)
    if (this.state.badSamples.length > this.#badLimit) yield* this.#onTooManyBad()
  }

  checkpointDue(): boolean {
    const { every } = this.#parts.options.checkpoint
    const due = every !== '1ep' && this.state.step % every === 0
    return due && this.#checkpoint === null && this.state.cursor < this.stepsPerEpoch
  }

  async *onCheckpoint(): AsyncGenerator<TrainEvent> {
    yield* this.#tell(await this.#save(false))
  }

  async *onEpochEnd(): AsyncGenerator<TrainEvent> {
    this.#closeEpoch()
    const scores = await this.#validate()
    if (this.#parts.signal.aborted) return
    yield* this.#tell(scores?.warnings ?? [])
    if (this.state.badSamples.length > this.#badLimit) yield* this.#onTooManyBad()

    const { folder, options, schedule } = this.#parts
    const { metric } = options.best
    const epoch = epochEvent(this.state, schedule, metric, scores)
    const best = epoch.best ? { value: scores!.judged[metric], top1: epoch.top1!, epoch: epoch.epoch, step: epoch.step } : this.state.best
    const progress = scores === null ? null : progressAfter(options, scores.judged, epoch.epoch, this.state.progress)
    this.state = { ...this.state, epoch: epoch.epoch, cursor: 0, sums: emptySums(), lastEpoch: epoch, best, progress }
    const finished = epoch.epoch === schedule.epochs || stoppedImproving(options, epoch.epoch, progress)
    if (finished) this.state = { ...this.state, result: this.#result(null) }
    this.#checkpoint = null

    if (folder !== null) await addResult(folder, epoch)
    const { every } = options.checkpoint
    const due = finished || epoch.best || every === '1ep' || this.state.step % every === 0
    yield* this.#tell([epoch, ...(due ? await this.#save(epoch.best) : [])])
  }

  async *onStop(reason: StopReason): AsyncGenerator<TrainEvent> {
    if (this.#checkpoint === null) yield* this.#tell(await this.#save(false))
    this.#ended = true
    yield* this.#tell([this.#endEvent(this.#result(reason))])
    if (reason === 'aborted') throw abortError(this.#parts.signal, this.#checkpoint)
  }

  async *onEnd(): AsyncGenerator<TrainEvent> {
    this.#ended = true
    yield* this.#tell([this.#endEvent(this.state.result ?? this.#result(null))])
  }

  /**
   * Ends the session. A consumer that left the loop early gets its checkpoint here; after an error nothing more is written.
   * The model then holds the weights the run is judged by: the average where one is kept.
   */
  async close(failed: boolean): Promise<void> {
    const { validation, model, options, folder, identity } = this.#parts
    const plan = this.#plan
    try {
      if (!failed && !this.#ended && this.#checkpoint === null && folder !== null) await this.#save(false)
      model.setWeights(await readTensors(plan, judgedSection(options.ema.decay)))
      model.info = trainedInfo(this.state, identity)
    } finally {
      this.#closeEpoch()
      plan.dispose()
      validation?.plan.dispose()
    }
  }

  /** Into the event log of the run and on to the caller. */
  async *#tell(events: readonly TrainEvent[]): AsyncGenerator<TrainEvent> {
    if (this.#parts.folder !== null) await logEvents(this.#parts.folder, events)
    yield* events
  }

  /** A plan for images of `size`, with everything that the one so far has learnt. */
  async #fitPlan(size: number): Promise<void> {
    if (size === this.#size) return
    const { options, planOf } = this.#parts
    const next = await planOf(size)
    try {
      const sections = ['value', 'momentum', ...(options.ema.decay > 0 ? (['ema'] as const) : [])] as const
      for (const section of sections) await writeTensors(next, section, await readTensors(this.#plan, section))
    } catch (error) {
      next.dispose()
      throw error
    }
    this.#plan.dispose()
    this.#plan = next
    this.#size = size
  }

  #closeEpoch(): void {
    this.#loader?.dispose()
    this.#loader = null
  }

  #stepsToCheckpoint(): number {
    const { every } = this.#parts.options.checkpoint
    return every === '1ep' ? Infinity : every - (this.state.step % every)
  }

  #countBad(bad: TrainChunk['bad'], split: 'train' | 'val'): WarningEvent[] {
    const fresh = newBadSamples(this.state.badSamples, bad, split, this.state.epoch + 1)
    if (fresh.length > 0) this.state = { ...this.state, badSamples: [...this.state.badSamples, ...fresh] }
    return fresh.map(badSampleWarning)
  }

  async *#onTooManyBad(): AsyncGenerator<TrainEvent> {
    if (this.#checkpoint === null) yield* this.#tell(await this.#save(false))
    checkBadSamples(this.state.badSamples, this.#badLimit)
  }

  /** The weights were not updated with the bad step, so the last good state is what the plan holds. */
  async *#onNonFinite({ loss, gradNorm, indices }: NonNullable<TrainChunk['nonFinite']>): AsyncGenerator<TrainEvent> {
    const images = Array.from(indices)
    const message = `Step ${this.state.step + 1} diverged: loss ${loss}, gradient norm ${gradNorm}; the weights are those after step ${this.state.step}`
    const reason = `images ${images.join(' ')}`
    yield* this.#tell([{ type: 'warning', about: 'diverged', message, reason }])
    if (this.#checkpoint === null) yield* this.#tell(await this.#save(false))
    throw new SknetError('ERR_SKNET_DIVERGED', message, {
      got: { loss: String(loss), gradNorm: String(gradNorm), indices: images },
      expected: 'a finite loss and gradient',
      hint: 'Lower optimizer.lr, lengthen schedule.warmupEpochs or set optimizer.gradClip; `indices` lists the images of the batch',
    })
  }

  async #validate(): Promise<{ judged: Scores; raw: Scores | null; warnings: WarningEvent[] } | null> {
    const { validation, options, signal } = this.#parts
    const plan = this.#plan
    if (validation === null) return null
    const score = async (section: 'value' | 'ema'): Promise<{ scores: Scores; bad: TrainChunk['bad'] }> => {
      callNative(() => validation.plan.copyFrom(plan, section))
      const { top1, top5, loss, bad } = await runEvaluation(validation.plan, evaluationLoader(validation), signal)
      return { scores: { top1, top5, loss }, bad }
    }
    const judged = await score(judgedSection(options.ema.decay))
    const raw = options.ema.decay > 0 && !signal.aborted ? (await score('value')).scores : null
    return { judged: judged.scores, raw, warnings: signal.aborted ? [] : this.#countBad(judged.bad, 'val') }
  }

  /** Writes the state as it is; nothing without a run folder. */
  async #save(best: boolean): Promise<CheckpointEvent[]> {
    const { folder, model, options, identity, versions } = this.#parts
    const plan = this.#plan
    if (folder === null) return []
    const path = await writeCheckpoint(folder.checkpoints, this.state.step, {
      spec: model.spec,
      tensors: model.tensors(),
      values: await readTensors(plan, 'value'),
      momentum: await readTensors(plan, 'momentum'),
      ema: options.ema.decay > 0 ? await readTensors(plan, 'ema') : null,
      state: { ...this.state, seed: options.seed, ...identity, versions },
      config: {
        preprocessing: model.preprocessing,
        ...(model.classNames === undefined ? {} : { classNames: model.classNames }),
        info: trainedInfo(this.state, identity),
      },
    })
    if (best) await copyAsBest(path, folder.dir)
    await pruneCheckpoints(folder.checkpoints, options.checkpoint.keep)
    this.#checkpoint = path
    const epoch = this.state.cursor === 0 ? this.state.epoch : this.state.epoch + 1
    return [{ type: 'checkpoint', epoch, step: this.state.step, path, best }]
  }

  #result(stopped: TrainResult['stopped']): TrainResult {
    return resultOf(this.state, this.#parts.start, this.#parts.schedule, stopped)
  }

  #endEvent(result: TrainResult): EndEvent {
    return { type: 'end', ...result, run: this.#parts.start.run, checkpoint: this.#checkpoint }
  }
}
