/** `sknet explain`: the plan of a network, op by op, with the implementation that was chosen and why. */
import { createModel } from '../model/registry.js'
import { callNative, type PlanStep } from '../native.js'
import { checkOptions, resolveOptions } from '../train/options.js'
import { inferencePlan, threadCount, trainPlan } from '../train/plans.js'
import type { Command } from './command.js'
import { choice, wholeNumber } from './numbers.js'
import { mebibytes } from './progress.js'

export const explainCommand: Command = {
  name: 'explain',
  about: 'Prints the plan of a network: each step, the candidate that runs it, what refused before it, FLOPs and bytes.',
  positionals: { usage: 'NAME', min: 1, max: 1 },
  flags: {
    mode: { kind: 'text', value: 'M', about: 'train or infer; default train' },
    batch: { kind: 'number', value: 'N', about: 'images of one step; default 16' },
    size: { kind: 'number', value: 'S', about: "side of the input; default: the network's own" },
    threads: { kind: 'number', value: 'T', about: 'native threads; default: all' },
  },
  run: (args, output) => {
    const model = createModel(args.positionals[0]!)
    const mode = choice(args, 'mode', ['train', 'infer'])
    const batch = wholeNumber(args, 'batch', 16, { min: mode === 'train' ? 2 : 1, max: 65536 })
    const size = wholeNumber(args, 'size', model.spec.input.size, { min: 1, max: 8192 })
    const threads = threadCount(args.has('threads') ? wholeNumber(args, 'threads', 1, { min: 1, max: 4096 }) : null)
    const options = resolveOptions([checkOptions({ batchSize: batch, shardSize: batch, threads })])
    const plan = mode === 'train' ? trainPlan(model, options, size) : inferencePlan(model, size, batch, threads)
    try {
      const steps = callNative(() => plan.steps())
      const memory = callNative(() => plan.memory())
      for (const line of planTable(steps)) output.say(line)
      output.say('')
      output.say(
        `${steps.length} steps, ${(total(steps, 'flops') / 1e9).toFixed(2)} GFLOP, ${mebibytes(total(steps, 'bytes'))} moved, ${mebibytes(memory.total)} of memory`,
      )
      output.emit({ type: 'result', model: model.spec.arch, mode, batch, size, steps, memory })
    } finally {
      plan.dispose()
    }
    return Promise.resolve(0)
  },
}

/** One line a step under a header; refusals follow their step, indented. */
export function planTable(steps: readonly PlanStep[]): string[] {
  const rows = steps.map((s) => [s.phase, s.layer, s.op, s.candidate, (s.flops / 1e6).toFixed(1), (s.bytes / 2 ** 20).toFixed(2)])
  const titles = ['phase', 'layer', 'op', 'candidate', 'MFLOP', 'MiB']
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  const line = (row: string[]): string => row.map((cell, i) => (i < 4 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')
  const body = rows.flatMap((row, i) => [line(row), ...steps[i]!.refused.map((r) => `    not ${r.candidate}: ${r.reason}`)])
  return [line(titles), ...body]
}

function total(steps: readonly PlanStep[], key: 'flops' | 'bytes'): number {
  return steps.reduce((sum, step) => sum + step[key], 0)
}
