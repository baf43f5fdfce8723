/** `sknet bench --model`: speed and memory of a whole network. */
import { SknetError } from '../errors.js'
import type { Model } from '../model/model.js'
import { createModel } from '../model/registry.js'
import { awaitNative, callNative, type Plan } from '../native.js'
import { checkOptions, resolveOptions } from '../train/options.js'
import { checkMemory, inferencePlan, trainPlan, writeTensors } from '../train/plans.js'
import type { BenchFacts } from './bench-facts.js'
import type { Args } from './command.js'
import { median, peakRssMiB, repeat, total, type Repeats } from './measure.js'
import type { Output } from './output.js'
import { stepShape, whereOf, type StepShape } from './shared-flags.js'

/** Small enough that random labels never drive the loss out of range. */
const BENCH_RATE = 1e-3

/** A network's plan with its weights, and what runs one step on synthetic data in memory. */
export interface NetworkSteps {
  plan: Plan
  /** Seconds of one step: train is forward, loss, backward and SGD; infer is forward, the copies in and out included. */
  step: () => Promise<number>
}

export async function benchNetwork(args: Args, repeats: Repeats, output: Output): Promise<BenchFacts> {
  const model = createModel(args.text('model') ?? 'sknet50')
  const shape = stepShape(args, model.spec.input.size)
  const { plan, step } = await networkSteps(model, shape, false)
  try {
    const seconds = await repeat(step, repeats)
    const secondsMedian = median(seconds)
    const { mode, batch, size, device } = shape
    const isa = callNative((binding) => binding.cpuInfo()).isaInUse
    const [imagesPerSecond, flopsPerSecond] = [batch / secondsMedian, total(plan.steps(), 'flops') / secondsMedian]
    output.say(`${model.spec.arch}, ${mode}, batch ${batch}, ${size} x ${size}, ${whereOf(shape, isa)}`)
    output.say(
      `${imagesPerSecond.toFixed(2)} img/s, ${secondsMedian.toFixed(4)} s a step (median of ${repeats.runs}), ${(flopsPerSecond / 1e9).toFixed(1)} GFLOP/s, ${peakRssMiB().toFixed(0)} MiB`,
    )
    return {
      model: model.spec.arch,
      ...shape,
      isa,
      steps: repeats.runs,
      imagesPerSecond,
      secondsMedian,
      secondsMin: Math.min(...seconds),
      peakRssMiB: peakRssMiB(),
      peakDeviceMiB: device === 'cpu' ? null : plan.memory().total / 2 ** 20,
      flopsPerSecond,
    }
  } finally {
    plan.dispose()
  }
}

/** The plan of `shape`, its batch one shard, not yet filled with weights; timeSteps: as in PlanOptions. Who gets it disposes it. */
export function networkPlan(model: Model, { mode, batch, size, threads, device, precision }: StepShape, timeSteps: boolean): Promise<Plan> {
  if (mode === 'infer') return inferencePlan(model, size, batch, { device, threads, timeSteps }, precision)
  const options = resolveOptions([checkOptions({ batchSize: batch, shardSize: batch, threads, device, precision })])
  return trainPlan(model, options, size, { timeSteps })
}

/** Throws ERR_SKNET_OOM where the plan does not fit; a step throws ERR_SKNET_DIVERGED for a loss that is no number. */
export async function networkSteps(model: Model, shape: StepShape, timeSteps: boolean): Promise<NetworkSteps> {
  const plan = await networkPlan(model, shape, timeSteps)
  try {
    checkMemory([plan], shape.batch)
    await writeTensors(plan, 'value', model.weights())
    return { plan, step: stepper(plan, model, shape) }
  } catch (error) {
    plan.dispose()
    throw error
  }
}

function stepper(plan: Plan, model: Model, { mode, batch, size }: StepShape): () => Promise<number> {
  const images = new Float32Array(batch * size * size * model.spec.input.channels)
  callNative((binding) => binding.randomNormal(images, { seed: 0, stream: 'bench', std: 1 }))
  const labels = Int32Array.from({ length: batch }, (_, i) => i % model.spec.classes)
  if (mode === 'infer') {
    return async () => {
      const began = performance.now()
      await awaitNative(() => plan.infer(images, batch))
      return (performance.now() - began) / 1000
    }
  }
  return async () => {
    const chunk = await awaitNative(() => plan.trainBatch(images, labels, BENCH_RATE))
    if (chunk.nonFinite !== null)
      throw new SknetError('ERR_SKNET_DIVERGED', 'The loss of the bench is no number', { got: String(chunk.nonFinite.loss) })
    return chunk.seconds[0]!
  }
}
