/** Runs a model forward: keeps the native plan of the last input size, filled with the model's weights, and queues calls. */
import { setImmediate } from 'node:timers/promises'
import { SknetError } from '../errors.js'
import { awaitNative, callNative } from '../native.js'
import type { Plan } from '../native.js'
import type { ModelSpec } from './spec.js'

export interface ForwardRun {
  images: Float32Array
  /** [n, h, w, c] */
  shape: readonly [number, number, number, number]
  /** As plans name it. */
  device: string
  /** Native threads. */
  threads: number
}

/** Most images of one shard: enough to fill the cores, small enough that activations stay in reach. */
export const LARGEST_PIECE = 32
/** Numbers copied into the plan between two turns of the event loop. */
const SLICE = 1 << 20

export class Inference {
  readonly #spec: ModelSpec
  readonly #weights: () => ReadonlyMap<string, Float32Array>
  #cached: { key: string; plan: Plan } | null = null
  /** Counts changes of the weights; the plan is filled again when it has seen fewer. */
  #version = 0
  #written = -1
  #queue: Promise<unknown> = Promise.resolve()
  #disposed = false

  constructor(spec: ModelSpec, weights: () => ReadonlyMap<string, Float32Array>) {
    this.#spec = spec
    this.#weights = weights
  }

  /** The weights may have changed. */
  invalidate(): void {
    this.#version++
  }

  /** Logits [n, classes]. Calls run one after the other, in the order in which they were made. */
  forward(run: ForwardRun): Promise<Float32Array> {
    return this.#enqueue(async () => {
      if (this.#disposed) throw new SknetError('ERR_SKNET_DISPOSED', `The model ${this.#spec.arch} was disposed`)
      const plan = await this.#planFor(run)
      return awaitNative(() => plan.infer(run.images, run.shape[0]))
    })
  }

  /** Frees the native memory once the calls under way are done. */
  dispose(): Promise<void> {
    this.#disposed = true
    return this.#enqueue(() => Promise.resolve(this.#drop()))
  }

  async #planFor({ shape: [n, height, width, channels], device, threads }: ForwardRun): Promise<Plan> {
    const shardSize = Math.min(n, LARGEST_PIECE)
    const key = [height, width, shardSize, threads, device].join('x')
    if (this.#cached?.key !== key) {
      this.#drop()
      const { layers } = this.#spec
      const input = { height, width, channels }
      const plan = await awaitNative((binding) => binding.openPlan({ layers, input, mode: 'infer', shardSize, shards: 1, threads, device }))
      this.#cached = { key, plan }
    }
    const { plan } = this.#cached
    if (this.#written !== this.#version) await this.#fill(plan)
    return plan
  }

  async #fill(plan: Plan): Promise<void> {
    const version = this.#version
    let copied = 0
    for (const [name, data] of this.#weights()) {
      callNative(() => plan.write('value', name, data))
      copied += data.length
      if (copied < SLICE) continue
      copied = 0
      await setImmediate()
    }
    this.#written = version
  }

  #drop(): void {
    this.#cached?.plan.dispose()
    this.#cached = null
    this.#written = -1
  }

  #enqueue<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(job)
    this.#queue = result.catch(() => undefined)
    return result
  }
}
