/**
 * Runs convolutions by a candidate that uses a vendor's library, on the emulated device: a program of its own, since what library is loaded
 * is settled once a process. Arguments: the candidate and the group of cases (cases.ts). Prints one JSON object a case.
 */
import { norm, tolerance } from '../../support/compare.js'
import { emulated } from '../../support/devices.js'
import { drawCase, type LayerCase } from '../../support/layer-case.js'
import { compareBlock, runBlock, type BlockResult } from '../../support/run-layers.js'
import { compareTraining, drawTraining, trainNative, trainReference, type TrainCase } from '../../support/train-case.js'
import { blockCases, trainCases, type CaseResult } from './cases.js'

const OPS = ['conv2d_forward', 'conv2d_backward_data', 'conv2d_backward_weight']
const [candidate, group] = [process.argv[2]!, process.argv[3] as keyof typeof blockCases]
const by = (name: string) => Object.fromEntries(OPS.map((op) => [op, name]))

/** The largest relative difference between two results' tensors. */
function distance(a: BlockResult, b: BlockResult): number {
  const gradients = [...a.gradients].map(([name, g]): [Float32Array, Float32Array] => [g, b.gradients.get(name)!])
  const pairs: [Float32Array, Float32Array][] = [[a.y, b.y], [a.dx, b.dx], ...gradients]
  return Math.max(...pairs.map(([own, other]) => norm(own.map((v, i) => v - other[i]!)) / norm(other)))
}

function runCase(c: LayerCase): CaseResult {
  const drawn = drawCase(c)
  const own = runBlock(c, drawn, { device: emulated, candidates: by(candidate) })
  compareBlock(candidate, c, drawn, own)
  const bf16 = (name: string) => runBlock(c, drawn, { device: emulated, precision: 'bf16', candidates: by(name) })
  const ran = own.steps.filter((step) => step.candidate === candidate).map(({ op, layer }) => `${op} ${layer}`)
  return { name: c.name, ran, bf16: distance(bf16(candidate), bf16('direct')) }
}

/** A whole step, recorded as a graph and replayed. */
async function runTraining(c: TrainCase): Promise<CaseResult> {
  const drawn = drawTraining(c, 3)
  const result = await trainNative(c, drawn, { device: emulated, candidates: by(candidate) })
  compareTraining(candidate, result, trainReference(c, drawn), tolerance(64, 20))
  return { name: c.name, ran: [], bf16: 0 }
}

const write = (result: CaseResult): boolean => process.stdout.write(`${JSON.stringify(result)}\n`)

async function print(name: string, run: () => CaseResult | Promise<CaseResult>): Promise<void> {
  try {
    write(await run())
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    write({ name, ran: [], bf16: 0, error: `${code ?? ''} ${message}`.trim() })
  }
}

for (const c of blockCases[group]) await print(c.name, () => runCase(c))
for (const c of trainCases[group]) await print(c.name, () => runTraining(c))
