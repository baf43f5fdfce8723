import type { Isa, PlanOptions, PlanStep, Precision } from '../../binding.js'
import { native } from '../../lib/native.js'
import { runNetwork, updateRunningStatistics } from '../reference/network.js'
import { tensor, type Tensor } from '../reference/tensor.js'
import { assertClose, norm, tolerance } from './compare.js'
import { emulated, hasEmulatedDevice } from './devices.js'
import { checkGradient } from './grad-check.js'
import { drawCase, objective, type DrawnCase, type LayerCase } from './layer-case.js'

/** The instruction sets this CPU has, plainest first, or the one that SKNET_ISA forces; in fp32 the last three are the same. */
export function supportedIsas(precision: Precision = 'fp32'): Isa[] {
  const all: Isa[] = ['portable', 'avx2', 'avx512', 'avx512_bf16', 'amx_bf16']
  const forced = all.filter((isa) => isa === process.env['SKNET_ISA'])
  const own = forced.length > 0 ? forced : all.slice(0, all.indexOf(native().cpuInfo().isa) + 1)
  return precision === 'bf16' ? own : [...new Set(own.map((isa) => (isa === 'avx512_bf16' || isa === 'amx_bf16' ? 'avx512' : isa)))]
}

export type Variant = Pick<PlanOptions, 'device' | 'isa' | 'fuse' | 'candidates' | 'precision'> & { threads?: number }

/** What a block plan gave: float32, by tensor name where there are several. */
export interface BlockResult {
  y: Float32Array
  dx: Float32Array
  gradients: Map<string, Float32Array>
  running: Map<string, Float32Array>
  steps: PlanStep[]
}

function planOptions(c: LayerCase, variant: Variant): Omit<PlanOptions, 'mode' | 'shardSize' | 'shards'> {
  const [, height, width, channels] = c.input
  return { layers: c.layers, input: { height, width, channels }, threads: 1, ...variant }
}

/** Training forward, backward from gy, then gradients and running statistics, by the native core. */
export function runBlock(c: LayerCase, drawn: DrawnCase, variant: Variant): BlockResult {
  const plan = new (native().Plan)({ ...planOptions(c, variant), mode: 'block', shardSize: c.input[0], shards: 1 })
  try {
    const infos = plan.tensors()
    const known = drawn.infos.map((info) => `${info.kind} ${info.name} [${info.shape.join()}]`).sort()
    const found = infos.map((info) => `${info.kind} ${info.name} [${info.shape.join()}]`).sort()
    if (found.join('\n') !== known.join('\n')) throw new Error(`tensors of the plan:\n${found.join('\n')}\nexpected:\n${known.join('\n')}`)
    if (plan.outputShape().join() !== drawn.gy.shape.join()) throw new Error(`output shape ${plan.outputShape().join()}`)
    for (const [name, t] of drawn.tensors) plan.write('value', name, Float32Array.from(t.data))
    const y = plan.blockForward(Float32Array.from(drawn.x.data))
    const dx = plan.blockBackward(Float32Array.from(drawn.gy.data))
    const read = (kind: string, section: 'value' | 'gradient') =>
      new Map(infos.filter((info) => info.kind === kind).map((info) => [info.name, plan.read(section, info.name)]))
    return { y, dx, gradients: read('param', 'gradient'), running: read('buffer', 'value'), steps: plan.steps() }
  } finally {
    plan.dispose()
  }
}

/** The longest sum in a case's forward or backward, for the tolerance. */
export function longestReduction(drawn: DrawnCase): number {
  const pixels = (t: Tensor) => t.data.length / (t.shape.at(-1) ?? 1)
  const fanIns = drawn.infos.filter((info) => info.shape.length > 1).map((info) => info.shape.slice(1).reduce((a, b) => a * b, 1))
  return Math.max(pixels(drawn.x), pixels(drawn.gy), ...fanIns)
}

/** Float64 results a block is compared with. */
function expectation(c: LayerCase, drawn: DrawnCase): { running: Map<string, Tensor>; limit: number; floor: number } {
  const running = new Map(
    drawn.infos.filter((info) => info.kind === 'buffer').map((info) => [info.name, tensor(info.shape, drawn.tensors.get(info.name)!.data)]),
  )
  updateRunningStatistics(running, [drawn.run.statistics])
  return { running, limit: tolerance(longestReduction(drawn), c.factor), floor: 1e-3 * norm(drawn.gy.data) }
}

export function compareBlock(label: string, c: LayerCase, drawn: DrawnCase, result: BlockResult): void {
  const { running, limit, floor } = expectation(c, drawn)
  assertClose(`${label}: y`, result.y, drawn.run.output.data, limit)
  assertClose(`${label}: dx`, result.dx, drawn.dx.data, limit, floor)
  for (const [name, g] of drawn.gradients) {
    assertClose(`${label}: gradient of ${name}`, result.gradients.get(name) ?? [], g.data, limit, floor)
  }
  for (const [name, t] of running) assertClose(`${label}: ${name}`, result.running.get(name) ?? [], t.data, limit)
}

function sameBits(label: string, a: BlockResult, b: BlockResult): void {
  const arrays = (r: BlockResult) => [['y', r.y], ['dx', r.dx], ...r.gradients, ...r.running] as [string, Float32Array][]
  const other = new Map(arrays(b))
  for (const [name, values] of arrays(a)) {
    if (Buffer.compare(Buffer.from(values.buffer), Buffer.from(other.get(name)!.buffer)) !== 0) {
      throw new Error(`${label}: bits of ${name} differ`)
    }
  }
}

/** Names of all candidates of an op, in the registry's order: asked for one that does not exist, a plan tells what there is. */
function candidatesOf(op: string, c: LayerCase, variant: Variant): string[] {
  try {
    const plan = new (native().Plan)({
      ...planOptions(c, { ...variant, candidates: { [op]: 'no such' } }),
      mode: 'block',
      shardSize: c.input[0],
      shards: 1,
    })
    plan.dispose()
  } catch (error) {
    const { code, expected } = error as { code?: string; expected?: string }
    if (code === 'ERR_SKNET_OPTION' && expected) return expected.split(', ')
    throw error
  }
  throw new Error(`${op}: a candidate that does not exist was accepted`)
}

/** The result with one op forced to one candidate, or null where that candidate refuses the case. */
function runForced(c: LayerCase, drawn: DrawnCase, variant: Variant): BlockResult | null {
  try {
    return runBlock(c, drawn, variant)
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_SKNET_OPTION') return null
    throw error
  }
}

/**
 * One test a case: native forward, backward and running statistics against the float64 reference, with and without fusion, for every
 * candidate of every op, on every instruction set, and the same bits on 1, 2 and 4 threads; then inference in pieces of two images. The
 * same on the emulated device, where it is built.
 * A last test fails unless the cases reached every candidate of `ops`, the ops that this file is about.
 */
export function describeLayers(title: string, ops: readonly string[], cases: readonly LayerCase[]): void {
  describe(title, () => {
    const reached = new Set<string>()
    const offered = new Map<string, Set<string>>()
    const note = (steps: readonly PlanStep[]) => steps.forEach((step) => reached.add(`${step.op} ${step.candidate}`))
    for (const c of cases) {
      it(c.name, async () => {
        const drawn = drawCase(c)
        for (const isa of supportedIsas()) {
          const own = runBlock(c, drawn, { isa })
          note(own.steps)
          compareBlock(isa, c, drawn, own)
          compareBlock(`${isa}, not fused`, c, drawn, runBlock(c, drawn, { isa, fuse: false }))
          for (const threads of [2, 4]) sameBits(`${isa}, ${threads} threads`, own, runBlock(c, drawn, { isa, threads }))
          for (const op of new Set(own.steps.map((step) => step.op))) {
            const names = candidatesOf(op, c, { isa })
            offered.set(op, new Set([...(offered.get(op) ?? []), ...names]))
            for (const candidate of names) {
              if (own.steps.every((step) => step.op !== op || step.candidate === candidate)) continue
              const candidates = { [op]: candidate }
              const result = runForced(c, drawn, { isa, candidates })
              if (!result) continue
              note(result.steps)
              compareBlock(`${isa}, ${op} by ${candidate}`, c, drawn, result)
              sameBits(`${isa}, ${op} by ${candidate}, 4 threads`, result, runBlock(c, drawn, { isa, candidates, threads: 4 }))
            }
          }
          await compareInference(isa, c, drawn, { isa })
        }
      })
      if (suitsEmulation(c)) it(`${c.name}, ${emulated}`, () => compareOnDevice(c))
    }

    if (ops.length === 0) return
    it('reaches every candidate', () => {
      for (const op of ops) {
        const names = offered.get(op)
        if (!names) throw new Error(`no case runs ${op}`)
        for (const name of names) if (!reached.has(`${op} ${name}`)) throw new Error(`no case runs candidate ${name} of ${op}`)
      }
    })
  })
}

/** Emulation takes seconds for what a device does in microseconds; larger shapes are left to the kernels' own tests (native/cuda/selftest). */
function suitsEmulation(c: LayerCase): boolean {
  const [n, h, w, channels] = c.input
  return hasEmulatedDevice() && n * h * w * channels ** 2 < 200_000
}

/** The same on the emulated device: every candidate of every op, fused and not, and inference. */
async function compareOnDevice(c: LayerCase): Promise<void> {
  const device = emulated
  const drawn = drawCase(c)
  const own = runBlock(c, drawn, { device })
  compareBlock(device, c, drawn, own)
  compareBlock(`${device}, not fused`, c, drawn, runBlock(c, drawn, { device, fuse: false }))
  for (const op of new Set(own.steps.map((step) => step.op))) {
    for (const candidate of candidatesOf(op, c, { device })) {
      if (own.steps.every((step) => step.op !== op || step.candidate === candidate)) continue
      const result = runForced(c, drawn, { device, candidates: { [op]: candidate } })
      if (result) compareBlock(`${device}, ${op} by ${candidate}`, c, drawn, result)
    }
  }
  await compareInference(device, c, drawn, { device })
}

async function compareInference(label: string, c: LayerCase, drawn: DrawnCase, variant: Variant): Promise<void> {
  const expected = runNetwork(c.layers, drawn.x, drawn.tensors, false).output.data
  for (const fuse of [true, false]) {
    const plan = new (native().Plan)({ ...planOptions(c, { ...variant, fuse }), mode: 'infer', shardSize: 2, shards: 1 })
    try {
      for (const [name, t] of drawn.tensors) plan.write('value', name, Float32Array.from(t.data))
      const y = await plan.infer(Float32Array.from(drawn.x.data), c.input[0])
      assertClose(`${label}, inference, fuse ${fuse}`, y, expected, tolerance(longestReduction(drawn), c.factor))
    } finally {
      plan.dispose()
    }
  }
}

/** One test a case: native gradients against central differences of the float64 forward. For small shapes. */
export function describeFiniteDifferences(title: string, cases: readonly LayerCase[]): void {
  describe(`${title}: gradients by finite differences`, () => {
    for (const c of cases) {
      it(c.name, () => {
        const drawn = drawCase(c, 1e-4)
        const { limit, floor } = expectation(c, drawn)
        const options = { limit, floor, coordinates: 6 }
        const f = () => objective(c, drawn)
        for (const isa of supportedIsas()) {
          const result = runBlock(c, drawn, { isa })
          checkGradient(`${isa}: dx`, f, drawn.x.data, result.dx, options)
          for (const [name, g] of result.gradients) checkGradient(`${isa}: ${name}`, f, drawn.tensors.get(name)!.data, g, options)
        }
      })
    }
  })
}
