/** `sknet bench`: speed and memory of a network on this machine. */
import { SknetError } from '../errors.js'
import type { Model } from '../model/model.js'
import { createModel } from '../model/registry.js'
import { awaitNative, callNative, type Plan } from '../native.js'
import { checkOptions, resolveOptions } from '../train/options.js'
import { checkMemory, inferencePlan, threadCount, trainPlan, writeTensors } from '../train/plans.js'
import type { Command } from './command.js'
import { choice, wholeNumber } from './numbers.js'

/** What one bench measured. */
export interface BenchResult {
  model: string
  mode: 'train' | 'infer'
  batch: number
  size: number
  threads: number
  precision: 'fp32'
  isa: string
  steps: number
  imagesPerSecond: number
  secondsMedian: number
  secondsMin: number
  peakRssMiB: number
  /** null: no device with memory of its own. */
  peakDeviceMiB: null
  /** Floating-point operations of the plan's steps (a multiply-accumulate is two) a second. */
  flopsPerSecond: number
}

interface BenchOptions {
  mode: 'train' | 'infer'
  batch: number
  size: number
  threads: number
  steps: number
  warmup: number
}

/** Small enough that random labels never drive the loss out of range. */
const BENCH_RATE = 1e-3

export const benchCommand: Command = {
  name: 'bench',
  about: 'Measures a network on synthetic data in memory. train: forward, loss, backward and SGD, the batch as one shard; infer: forward.',
  flags: {
    model: { kind: 'text', value: 'NAME', about: 'network; default sknet50' },
    batch: { kind: 'number', value: 'N', about: 'images of one step; default 16' },
    size: { kind: 'number', value: 'S', about: "side of the input; default: the network's own" },
    mode: { kind: 'text', value: 'M', about: 'train or infer; default train' },
    device: { kind: 'text', value: 'D', about: 'auto or cpu' },
    precision: { kind: 'text', value: 'P', about: 'fp32 in this version' },
    threads: { kind: 'number', value: 'T', about: 'native threads; default: all' },
    steps: { kind: 'number', value: 'N', about: 'measured steps; default 10' },
    warmup: { kind: 'number', value: 'N', about: 'steps before them; default 2' },
  },
  run: async (args, output) => {
    checkOptions({ device: args.text('device') ?? 'cpu', precision: args.text('precision') ?? 'fp32' })
    const model = createModel(args.text('model') ?? 'sknet50')
    const mode = choice(args, 'mode', ['train', 'infer'])
    const result = await bench(model, {
      mode,
      batch: wholeNumber(args, 'batch', 16, { min: mode === 'train' ? 2 : 1, max: 65536 }),
      size: wholeNumber(args, 'size', model.spec.input.size, { min: 1, max: 8192 }),
      threads: threadCount(args.has('threads') ? wholeNumber(args, 'threads', 1, { min: 1, max: 4096 }) : null),
      steps: wholeNumber(args, 'steps', 10, { min: 1, max: 1_000_000 }),
      warmup: wholeNumber(args, 'warmup', 2, { min: 0, max: 1_000_000 }),
    })
    const { imagesPerSecond, secondsMedian, flopsPerSecond, peakRssMiB } = result
    output.say(`${result.model}, ${mode}, batch ${result.batch}, ${result.size} x ${result.size}, ${result.threads} threads, ${result.isa}`)
    output.say(
      `${imagesPerSecond.toFixed(2)} img/s, ${secondsMedian.toFixed(4)} s a step (median of ${result.steps}), ${(flopsPerSecond / 1e9).toFixed(1)} GFLOP/s, ${peakRssMiB.toFixed(0)} MiB`,
    )
    output.emit({ type: 'result', ...result })
    return 0
  },
}

async function bench(model: Model, options: BenchOptions): Promise<BenchResult> {
  const { mode, batch, size, threads, steps, warmup } = options
  const plan = mode === 'train' ? trainPlan(model, trainOptions(options), size) : inferencePlan(model, size, batch, threads)
  try {
    checkMemory([callNative(() => plan.memory())], batch)
    await writeTensors(plan, 'value', model.weights())
    const step = stepper(plan, model, options)
    for (let i = 0; i < warmup; i++) await step()
    const seconds: number[] = []
    for (let i = 0; i < steps; i++) seconds.push(await step())
    const secondsMedian = median(seconds)
    const flops = plan.steps().reduce((sum, { flops }) => sum + flops, 0)
    return {
      model: model.spec.arch,
      mode,
      batch,
      size,
      threads,
      precision: 'fp32',
      isa: callNative((binding) => binding.cpuInfo()).isaInUse,
      steps,
      imagesPerSecond: batch / secondsMedian,
      secondsMedian,
      secondsMin: Math.min(...seconds),
      peakRssMiB: process.resourceUsage().maxRSS / 1024,
      peakDeviceMiB: null,
      flopsPerSecond: flops / secondsMedian,
    }
  } finally {
    plan.dispose()
  }
}

/** A function that runs one step and tells its seconds. */
function stepper(plan: Plan, model: Model, { mode, batch, size }: BenchOptions): () => Promise<number> {
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

function trainOptions({ batch, threads }: BenchOptions) {
  return resolveOptions([checkOptions({ batchSize: batch, shardSize: batch, threads })])
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
