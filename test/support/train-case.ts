import { createHash } from 'node:crypto'
import type { Isa, PlanOptions, Precision } from '../../binding.js'
import { native } from '../../lib/native.js'
import type { Layer } from '../../lib/model/spec.js'
import { networkShape } from '../reference/layer-tensors.js'
import { tensor, zeros, type Tensor } from '../reference/tensor.js'
import { trainStep, type StepResult, type TrainSettings, type TrainState } from '../reference/train.js'
import { assertClose } from './compare.js'
import { drawTensor } from './layer-case.js'
import { random, seedOf } from './random.js'

/** A network to be trained for a few steps, native and by the reference. */
export interface TrainCase {
  name: string
  layers: Layer[]
  /** [h, w, c] */
  input: readonly [number, number, number]
  classes: number
  shardSize: number
  shards: number
  settings: TrainSettings
}

export const plainSettings: TrainSettings = {
  lr: 0.05,
  momentum: 0.9,
  nesterov: false,
  weightDecay: () => 0,
  gradClip: 0,
  emaDecay: 0,
  labelSmoothing: 0,
}

/** Everything but LARS and rates a tensor. */
export const fullSettings: TrainSettings = {
  lr: 0.05,
  momentum: 0.9,
  nesterov: true,
  weightDecay: (name) => (name.endsWith('.weight') ? 0.01 : 0),
  gradClip: 0.5,
  emaDecay: 0.9,
  labelSmoothing: 0.1,
}

export interface DrawnTraining {
  tensors: Map<string, Tensor>
  parameters: string[]
  batches: { images: Tensor; labels: Int32Array; mixed?: { labels2: Int32Array; mix: Float32Array } }[]
}

export function drawTraining(c: TrainCase, steps: number): DrawnTraining {
  const batch = c.shardSize * c.shards
  const [h, w, channels] = c.input
  const { tensors: infos } = networkShape(c.layers, [c.shardSize, ...c.input])
  const r = random(seedOf(c.name))
  return {
    tensors: new Map(infos.map((info) => [info.name, drawTensor(info, r)])),
    parameters: infos.filter((info) => info.kind === 'param').map((info) => info.name),
    batches: Array.from({ length: steps }, () => ({
      images: tensor([batch, h, w, channels], r.normals(batch * h * w * channels)),
      labels: Int32Array.from({ length: batch }, () => r.integer(c.classes)),
    })),
  }
}

/** Everything a plan holds after training, by 'section name', and the numbers of each step. */
export interface TrainResult {
  tensors: Map<string, Float32Array>
  loss: number[]
  correct: number[]
  gradNorm: number[]
}

export async function trainNative(
  c: TrainCase,
  drawn: DrawnTraining,
  variant: {
    isa?: Isa
    device?: string
    precision?: Precision
    threads?: number
    fuse?: boolean
    candidates?: Record<string, string>
    ranks?: NonNullable<PlanOptions['ranks']>
  },
): Promise<TrainResult> {
  const { settings: s } = c
  const [height, width, channels] = c.input
  const probe = { layers: c.layers, input: { height, width, channels }, shardSize: c.shardSize, threads: variant.threads ?? 1 }
  const { momentum, nesterov, gradClip, emaDecay } = s
  const plan = new (native().Plan)({
    ...probe,
    ...variant,
    mode: 'train',
    shards: c.shards,
    labelSmoothing: s.labelSmoothing,
    optimizer: {
      momentum,
      nesterov,
      gradClip,
      emaDecay,
      weightDecay: Float64Array.from(drawn.parameters, (name) => s.weightDecay(name)),
      ...(s.lrScale === undefined ? {} : { lrScale: Float64Array.from(drawn.parameters, (name) => s.lrScale!(name)) }),
      ...(s.trust === undefined ? {} : { trust: s.trust }),
    },
  })
  try {
    const infos = plan.tensors()
    const order = infos.filter((info) => info.kind === 'param').map((info) => info.name)
    if (order.join() !== drawn.parameters.join()) throw new Error(`order of parameters: ${order.join()}`)
    for (const [name, t] of drawn.tensors) {
      plan.write('value', name, Float32Array.from(t.data))
      if (emaDecay > 0) plan.write('ema', name, Float32Array.from(t.data))
    }
    const result: TrainResult = { tensors: new Map(), loss: [], correct: [], gradNorm: [] }
    for (const { images, labels, mixed } of drawn.batches) {
      const chunk = await plan.trainBatch(Float32Array.from(images.data), labels, s.lr, mixed?.labels2, mixed?.mix)
      if (chunk.steps !== 1 || chunk.nonFinite) throw new Error(`a batch ran ${chunk.steps} steps`)
      result.loss.push(chunk.loss[0]!)
      result.correct.push(chunk.correct[0]!)
      result.gradNorm.push(chunk.gradNorm[0]!)
    }
    for (const { name, kind } of infos) {
      result.tensors.set(`value ${name}`, plan.read('value', name))
      if (emaDecay > 0) result.tensors.set(`ema ${name}`, plan.read('ema', name))
      if (kind === 'buffer') continue
      result.tensors.set(`momentum ${name}`, plan.read('momentum', name))
      result.tensors.set(`gradient ${name}`, plan.read('gradient', name))
    }
    return result
  } finally {
    plan.dispose()
  }
}

/** The same steps by the reference, under the same names. */
export function trainReference(c: TrainCase, drawn: DrawnTraining): { tensors: Map<string, Float64Array>; steps: StepResult[] } {
  const clone = (names: Iterable<string>) =>
    new Map(
      [...names].map((name) => {
        const t = drawn.tensors.get(name)!
        return [name, tensor(t.shape, t.data)] as const
      }),
    )
  const state: TrainState = {
    tensors: clone(drawn.tensors.keys()),
    momentum: new Map(drawn.parameters.map((name) => [name, zeros(drawn.tensors.get(name)!.shape)])),
    ...(c.settings.emaDecay > 0 ? { ema: clone(drawn.tensors.keys()) } : {}),
  }
  const steps = drawn.batches.map(({ images, labels, mixed }) => trainStep(c.layers, state, images, labels, c.shardSize, c.settings, mixed))
  const tensors = new Map<string, Float64Array>()
  for (const [name, t] of state.tensors) tensors.set(`value ${name}`, t.data)
  for (const [name, t] of state.ema ?? []) tensors.set(`ema ${name}`, t.data)
  for (const [name, t] of state.momentum) tensors.set(`momentum ${name}`, t.data)
  for (const [name, t] of steps.at(-1)?.gradients ?? []) tensors.set(`gradient ${name}`, t.data)
  return { tensors, steps }
}

/** SHA-256 over all tensors and step numbers, in a fixed order. */
export function hashOf(result: TrainResult): string {
  const hash = createHash('sha256')
  for (const [name, values] of [...result.tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(name).update(Buffer.from(values.buffer))
  }
  return hash.update(Buffer.from(Float64Array.from([...result.loss, ...result.correct, ...result.gradNorm]).buffer)).digest('hex')
}

/** Throws unless native and reference agree after the steps of `drawn`; `limit` is a relative error a tensor. */
export function compareTraining(label: string, result: TrainResult, expected: ReturnType<typeof trainReference>, limit: number): void {
  const { steps, tensors } = expected
  assertClose(
    `${label}: losses`,
    result.loss,
    steps.map((s) => s.loss),
    limit,
  )
  assertClose(
    `${label}: gradient norms`,
    result.gradNorm,
    steps.map((s) => s.gradNorm),
    limit,
  )
  assertClose(
    `${label}: hits`,
    result.correct,
    steps.map((s) => s.correct),
    0,
  )
  const gradNorm = steps.at(-1)?.gradNorm ?? 0
  for (const [name, values] of tensors) {
    const floor = name.startsWith('value') || name.startsWith('ema') ? 0 : 1e-3 * gradNorm
    assertClose(`${label}: ${name}`, result.tensors.get(name) ?? [], values, limit, floor)
  }
  if (result.tensors.size !== tensors.size) throw new Error(`${label}: ${result.tensors.size} tensors, expected ${tensors.size}`)
}
