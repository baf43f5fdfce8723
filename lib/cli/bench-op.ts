/** `sknet bench --op`: speed of one op or unit, taken from the seconds that the plan counts for its own steps. */
import { inferShapes } from '../model/shapes.js'
import { initTensor } from '../model/init.js'
import { awaitNative, callNative, type Plan, type PlanStep } from '../native.js'
import { checkMemory } from '../train/plans.js'
import type { BenchFacts } from './bench-facts.js'
import { opLayers, opName, opShape, ownOptions, type OpShape } from './bench-layers.js'
import { usageError, type Args } from './command.js'
import { median, peakRssMiB, timePlan, total, type Repeats, type TimedStep } from './measure.js'
import type { Output } from './output.js'
import { planTable } from './plan-table.js'
import { stepShape, whereOf, type StepShape } from './shared-flags.js'

/** One step of the plan in the result: of one run, the median of the measured ones. */
export type PlannedStep = Pick<
  TimedStep,
  'op' | 'layer' | 'phase' | 'candidate' | 'flops' | 'bytes' | 'seconds' | 'flopsPerSecond' | 'bytesPerSecond'
>

/**
 * Measures the op of --op. train: training forward and backward from a given gradient, down to that of the input; infer: forward with
 * running statistics. Seconds are the sum over the plan's steps, so the copies between JavaScript and the plan count nowhere.
 * Throws ERR_SKNET_OPTION naming the flag, ERR_SKNET_OOM.
 */
export async function benchOp(args: Args, repeats: Repeats, output: Output): Promise<BenchFacts> {
  const op = opName(args.text('op')!)
  const unit = opShape(op, args)
  const shape = stepShape(args, unit.size)
  const candidates = candidatesOf(args.list('candidate'))
  const plan = opPlan(opLayers(op, unit), unit, shape, candidates)
  try {
    checkCandidates(
      candidates,
      callNative(() => plan.steps()),
    )
    checkMemory([plan], shape.batch)
    fillWeights(plan)
    const { steps, inSteps } = await timePlan(plan, runner(plan, unit, shape), repeats)
    const secondsMedian = median(inSteps)
    const { mode, batch, size, threads, device, precision } = shape
    const isa = callNative((binding) => binding.cpuInfo()).isaInUse
    const rates = {
      imagesPerSecond: batch / secondsMedian,
      flopsPerSecond: total(steps, 'flops') / secondsMedian,
      bytesPerSecond: total(steps, 'bytes') / secondsMedian,
    }
    const own = ownOptions(op, unit)
    const options = Object.entries(own).map(([name, value]) => `${name} ${value}`)
    output.say(`${op}, ${mode}, batch ${batch}, ${options.join(', ')}, ${whereOf(shape, isa)}`)
    for (const line of planTable(steps.map((step) => ({ ...step, refused: [], trials: [], note: '' })))) output.say(line)
    output.say(
      `${(1e3 * secondsMedian).toFixed(3)} ms (median of ${repeats.runs}), ${rates.imagesPerSecond.toFixed(1)} img/s, ${(rates.flopsPerSecond / 1e9).toFixed(1)} GFLOP/s, ${(rates.bytesPerSecond / 1e9).toFixed(1)} GB/s, ${peakRssMiB().toFixed(0)} MiB`,
    )
    return {
      op,
      ...own,
      mode,
      batch,
      size,
      threads,
      device,
      precision,
      isa,
      steps: repeats.runs,
      ...rates,
      secondsMedian,
      secondsMin: Math.min(...inSteps),
      peakRssMiB: peakRssMiB(),
      peakDeviceMiB: device === 'cpu' ? null : plan.memory().total / 2 ** 20,
      plan: steps.map(planned),
    }
  } finally {
    plan.dispose()
  }
}

function opPlan(layers: ReturnType<typeof opLayers>, { channels }: OpShape, shape: StepShape, candidates: Record<string, string>): Plan {
  const { mode, batch, size, threads, device, precision } = shape
  inferShapes({ layers, input: { channels, size } })
  return callNative(
    (binding) =>
      new binding.Plan({
        layers,
        input: { height: size, width: size, channels },
        mode: mode === 'train' ? 'block' : 'infer',
        shardSize: batch,
        shards: 1,
        threads,
        device,
        precision,
        candidates,
        timeSteps: true,
      }),
  )
}

/** `op=name` pairs, each op once. */
function candidatesOf(pairs: readonly string[]): Record<string, string> {
  const entries = pairs.map((pair) => {
    const [op, name, ...more] = pair.split('=')
    if (!op || !name || more.length > 0)
      throw usageError(`--candidate is '${pair}'; expected OP=NAME`, 'candidate', {
        got: pair,
        expected: 'OP=NAME, such as conv2d_forward=gemm',
      })
    return [op, name] as const
  })
  return Object.fromEntries(entries)
}

/** The core takes no notice of an op that the plan does not have. */
function checkCandidates(candidates: Record<string, string>, steps: readonly PlanStep[]): void {
  const ops = [...new Set(steps.map(({ op }) => op))]
  const alien = Object.keys(candidates).find((op) => !ops.includes(op))
  if (alien === undefined) return
  const details = { got: alien, expected: `one of ${ops.join(', ')}` }
  throw usageError(
    `--candidate ${alien}=${candidates[alien]}: the plan has no op ${alien}; expected ${details.expected}`,
    'candidate',
    details,
  )
}

function fillWeights(plan: Plan): void {
  for (const tensor of callNative(() => plan.tensors())) {
    const data = initTensor({}, tensor, 0)
    callNative(() => plan.write('value', tensor.name, data))
  }
}

/** Runs the plan once on random numbers; what it returns counts nothing. */
function runner(plan: Plan, { channels }: OpShape, { mode, batch, size }: StepShape): () => Promise<number> {
  const random = (length: number, stream: string): Float32Array => {
    const data = new Float32Array(length)
    callNative((binding) => binding.randomNormal(data, { seed: 0, stream, std: 1 }))
    return data
  }
  const x = random(batch * size * size * channels, 'x')
  if (mode === 'infer') return () => awaitNative(() => plan.infer(x, batch)).then(() => 0)
  const gy = random(
    callNative(() => plan.outputShape()).reduce((product, side) => product * side, 1),
    'gy',
  )
  return () => {
    callNative(() => plan.blockForward(x))
    callNative(() => plan.blockBackward(gy))
    return Promise.resolve(0)
  }
}

function planned({ op, layer, phase, candidate, flops, bytes, seconds, flopsPerSecond, bytesPerSecond }: TimedStep): PlannedStep {
  return { op, layer, phase, candidate, flops, bytes, seconds, flopsPerSecond, bytesPerSecond }
}
