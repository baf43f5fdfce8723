import type { Layer } from '../../lib/model/spec.js'
import { emaStep } from './ema.js'
import { get } from './layer-run.js'
import { runNetwork, updateRunningStatistics, type NetworkRun } from './network.js'
import { gradientNorm } from './reduce_norm.js'
import { clipFactor, sgdStep } from './sgd.js'
import { softmaxCrossEntropy, type MixedLabels } from './softmax_cross_entropy.js'
import { trustRatio } from './trust_ratio.js'
import { accumulate, shape4, zeros, type Tensor } from './tensor.js'

export interface TrainState {
  tensors: Map<string, Tensor>
  momentum: Map<string, Tensor>
  /** Over parameters and running statistics; absent: none is kept. */
  ema?: Map<string, Tensor>
}

export interface TrainSettings {
  lr: number
  momentum: number
  nesterov: boolean
  /** Of the parameter called `name`. */
  weightDecay(name: string): number
  /** What the rate of the parameter called `name` is multiplied with, 0: frozen; 1 unless given. */
  lrScale?(name: string): number
  /** LARS's coefficient, for tensors of two or more dimensions; absent: plain SGD. */
  trust?: number
  gradClip: number
  emaDecay: number
  labelSmoothing: number
}

export interface StepResult {
  loss: number
  correct: number
  gradNorm: number
  /** Summed over the shards, before clipping. */
  gradients: Map<string, Tensor>
  logits: Tensor[]
  margin: number
}

/**
 * One step of DESIGN 3: BN per shard, loss the mean over the global batch, gradients summed over shards, running statistics the mean over
 * shards applied once, then clip, SGD and EMA. images [n, h, w, c] is cut into n / shardSize shards.
 */
export function trainStep(
  layers: readonly Layer[],
  state: TrainState,
  images: Tensor,
  labels: ArrayLike<number>,
  shardSize: number,
  s: TrainSettings,
  mixed?: MixedLabels,
): StepResult {
  const [n, h, w, c] = shape4(images)
  const runs: NetworkRun[] = []
  const gradients = new Map<string, Tensor>()
  let loss = 0
  let correct = 0
  for (let first = 0; first < n; first += shardSize) {
    const size = h * w * c
    const shard = { shape: [shardSize, h, w, c], data: images.data.slice(first * size, (first + shardSize) * size) }
    const run = runNetwork(layers, shard, state.tensors, true)
    const part = (values: ArrayLike<number>) => Array.from(values).slice(first, first + shardSize)
    const mixedPart = mixed && { labels2: part(mixed.labels2), mix: part(mixed.mix) }
    const entropy = softmaxCrossEntropy(run.output, part(labels), s.labelSmoothing, 1 / n, mixedPart)
    loss += entropy.lossSum / n
    correct += entropy.correct
    for (const [name, g] of run.backward(entropy.dlogits).gradients) {
      const sum = gradients.get(name) ?? zeros(g.shape)
      accumulate(sum.data, g.data)
      gradients.set(name, sum)
    }
    runs.push(run)
  }
  const scaleOf = (name: string): number => s.lrScale?.(name) ?? 1
  const trained = [...gradients].filter(([name]) => scaleOf(name) > 0)
  const gradNorm = gradientNorm(trained.map(([, g]) => g.data))
  const factor = clipFactor(gradNorm, s.gradClip)
  for (const [name, g] of trained) {
    const weight = get(state.tensors, name)
    const gradient = g.data.map((value) => value * factor)
    const weightDecay = s.weightDecay(name)
    const trust = s.trust === undefined || weight.shape.length < 2 ? 1 : trustRatio(weight.data, gradient, weightDecay, s.trust)
    sgdStep(weight.data, get(state.momentum, name).data, gradient, { ...s, lr: s.lr * scaleOf(name), weightDecay, trust })
  }
  updateRunningStatistics(
    state.tensors,
    runs.map((run) => run.statistics),
  )
  for (const [name, average] of state.ema ?? []) emaStep(average.data, get(state.tensors, name).data, s.emaDecay)
  return { loss, correct, gradNorm, gradients, logits: runs.map((run) => run.output), margin: Math.min(...runs.map((run) => run.margin)) }
}
