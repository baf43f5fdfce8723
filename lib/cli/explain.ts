/** `sknet explain`: the plan of a network, op by op, with the implementation that was chosen and why; on request, how long each step takes. */
import { createModel } from '../model/registry.js'
import { callNative } from '../native.js'
import { networkPlan, networkSteps } from './bench-network.js'
import type { Command } from './command.js'
import { modelSetFlag, onlyModelOptions } from './model-options.js'
import { median, timePlan, total, type TimedStep } from './measure.js'
import { wholeNumber } from './numbers.js'
import type { Output } from './output.js'
import { opTable, planTable, timesByOp, type OpTime } from './plan-table.js'
import { mebibytes } from './progress.js'
import { machineFlags, stepFlags, stepShape, type StepShape } from './shared-flags.js'

/** What --measure adds; all numbers are medians over the measured steps. */
export interface MeasuredPlan {
  measured: number
  /** Of one whole step. */
  secondsMedian: number
  /** Of them, outside the steps of the plan that are counted: the update in training, and copies. */
  secondsElsewhere: number
  /** `seconds` are those of one run. */
  steps: TimedStep[]
  ops: OpTime[]
}

const WARMUP = 2

export const explainCommand: Command = {
  name: 'explain',
  about: 'Prints the plan of a network: each step, the candidate that runs it, what refused before it, FLOPs and bytes.',
  positionals: { usage: 'NAME', min: 1, max: 1 },
  flags: {
    ...stepFlags,
    ...machineFlags,
    set: modelSetFlag,
    measure: { kind: 'number', value: 'N', about: 'run N steps on synthetic data: adds ms, GFLOP/s, GB/s and a summary by op' },
  },
  run: async (args, output) => {
    const model = createModel(args.positionals[0]!, onlyModelOptions(args.list('set')))
    const shape = stepShape(args, model.spec.input.size)
    const runs = wholeNumber(args, 'measure', 0, { min: 1, max: 1_000_000 })
    const { plan, step } =
      runs === 0 ? { plan: await networkPlan(model, shape, false), step: null } : await networkSteps(model, shape, true)
    try {
      const memory = callNative(() => plan.memory())
      const measured = step === null ? null : measuredPlan(await timePlan(plan, step, { warmup: WARMUP, runs }))
      const steps = measured?.steps ?? callNative(() => plan.steps())
      for (const line of planTable(steps)) output.say(line)
      output.say('')
      output.say(
        `${steps.length} steps, ${(total(steps, 'flops') / 1e9).toFixed(2)} GFLOP, ${mebibytes(total(steps, 'bytes'))} moved, ${mebibytes(memory.total)} of memory`,
      )
      if (measured !== null) sayTimes(measured, shape, output)
      output.emit({ type: 'result', model: model.spec.arch, ...shape, steps, memory, ...measured })
    } finally {
      plan.dispose()
    }
    return 0
  },
}

function measuredPlan({ steps, told, inSteps }: Awaited<ReturnType<typeof timePlan>>): MeasuredPlan {
  const elsewhere = told.map((seconds, i) => seconds - inSteps[i]!)
  return {
    measured: told.length,
    secondsMedian: median(told),
    secondsElsewhere: median(elsewhere),
    steps,
    ops: timesByOp(steps),
  }
}

function sayTimes({ ops, secondsMedian, secondsElsewhere, measured }: MeasuredPlan, { mode, batch }: StepShape, output: Output): void {
  output.say('')
  for (const line of opTable(ops)) output.say(line)
  output.say('')
  const outside = mode === 'train' ? 'the update and copies' : 'copies'
  output.say(
    `${(1e3 * secondsMedian).toFixed(1)} ms a step (median of ${measured}), ${(batch / secondsMedian).toFixed(2)} img/s; ${(1e3 * secondsElsewhere).toFixed(1)} ms of them are ${outside}`,
  )
}
