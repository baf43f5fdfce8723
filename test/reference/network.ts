import type { Layer } from '../../lib/model/spec.js'
import { addForward } from './add.js'
import type { BatchStatistics } from './batch_norm.js'
import { channelGatherBackward, channelGatherForward, channelOrder } from './channel_gather.js'
import { channelScaleBackward, channelScaleForward } from './channel_scale.js'
import { conv2dBackwardBias, conv2dBackwardData, conv2dBackwardWeight, conv2dForward } from './conv2d.js'
import { globalAvgPoolBackward, globalAvgPoolForward } from './global_avg_pool.js'
import { get, runBatchNorm, type LayerRun, type Tensors } from './layer-run.js'
import { linearBackward, linearForward } from './linear.js'
import { maxPoolBackward, maxPoolForward } from './max_pool.js'
import { reluBackward, reluForward, reluMargin } from './relu.js'
import { sigmoidBackward, sigmoidForward } from './sigmoid.js'
import { runSkUnit } from './sk_unit.js'
import { accumulate, at, shape4, type Tensor } from './tensor.js'

export type { Tensors } from './layer-run.js'

/** A layer without parameters and statistics. */
function plain(y: Tensor, backward: (dy: Tensor) => Tensor[], margin = Infinity): LayerRun {
  return { y, statistics: new Map(), margin, backward: (dy) => ({ dx: backward(dy), gradients: new Map() }) }
}

/** What becomes of a tensor that is stored: itself, or itself rounded. */
export type Store = (t: Tensor) => Tensor

function runLayer(layer: Layer, inputs: readonly Tensor[], tensors: Tensors, training: boolean, store: Store): LayerRun {
  const x = inputs[0]!
  switch (layer.op) {
    case 'conv2d': {
      const w = store(get(tensors, `${layer.name}.weight`))
      const y = conv2dForward(x, w, layer.bias ? get(tensors, `${layer.name}.bias`) : null, layer)
      return {
        y,
        statistics: new Map(),
        margin: Infinity,
        backward: (dy) => ({
          dx: [conv2dBackwardData(dy, w, shape4(x), layer)],
          gradients: new Map([
            [`${layer.name}.weight`, conv2dBackwardWeight(dy, x, shape4(w), layer)],
            ...(layer.bias ? [[`${layer.name}.bias`, conv2dBackwardBias(dy)] as const] : []),
          ]),
        }),
      }
    }
    case 'linear': {
      const w = store(get(tensors, `${layer.name}.weight`))
      return {
        y: linearForward(x, w, layer.bias ? get(tensors, `${layer.name}.bias`) : null),
        statistics: new Map(),
        margin: Infinity,
        backward: (dy) => {
          const { dx, dw, dbias } = linearBackward(dy, x, w)
          return {
            dx: [dx],
            gradients: new Map([[`${layer.name}.weight`, dw], ...(layer.bias ? [[`${layer.name}.bias`, dbias] as const] : [])]),
          }
        },
      }
    }
    case 'batch_norm':
      return runBatchNorm(layer.name, x, tensors, layer.eps, layer.momentum, training)
    case 'relu':
      return plain(reluForward(x), (dy) => [reluBackward(dy, x)], reluMargin(x))
    case 'sigmoid':
      return plain(sigmoidForward(x), (dy) => [sigmoidBackward(dy, x)])
    case 'add':
      return plain(addForward(x, inputs[1]!), (dy) => [dy, dy])
    case 'max_pool': {
      const { y, argmax, margin } = maxPoolForward(x, layer)
      return plain(y, (dy) => [maxPoolBackward(dy, argmax, shape4(x))], margin)
    }
    case 'global_avg_pool':
      return plain(globalAvgPoolForward(x), (dy) => [globalAvgPoolBackward(dy, shape4(x))])
    case 'channel_scale': {
      const gate = inputs[1]!
      return plain(channelScaleForward(x, gate), (dy) => {
        const { dx, dgate } = channelScaleBackward(dy, x, gate)
        return [dx, dgate]
      })
    }
    case 'concat':
    case 'channel_slice':
    case 'channel_shuffle': {
      const order = channelOrder(layer, inputs)
      return plain(channelGatherForward(inputs, order), (dy) => channelGatherBackward(dy, inputs, order))
    }
    case 'sk_unit':
      return runSkUnit(layer, x, tensors, training, store)
  }
}

export interface NetworkRun {
  output: Tensor
  /** By the name of the batch norm; empty in inference. */
  statistics: Map<string, BatchStatistics & { momentum: number }>
  /** Smallest distance of any layer to a kink. */
  margin: number
  /** Gradients of the input and of every parameter, from the gradient of the output. Training only. */
  backward(dy: Tensor): { dx: Tensor; gradients: Map<string, Tensor> }
}

/**
 * Executes a list of layers in float64, one after the other: the independent interpreter a plan is compared with. `store` is applied to
 * what a plan stores or multiplies: the input, outputs and their gradients, the weights of convolutions; not to outputs of batch norms,
 * which are read through.
 */
export function runNetwork(
  layers: readonly Layer[],
  input: Tensor,
  tensors: Tensors,
  training: boolean,
  store: Store = (t) => t,
): NetworkRun {
  const values = new Map<string, Tensor>([['input', store(input)]])
  const runs: LayerRun[] = []
  const statistics: NetworkRun['statistics'] = new Map()
  for (const layer of layers) {
    const run = runLayer(
      layer,
      layer.inputs.map((name) => get(values, name)),
      tensors,
      training,
      store,
    )
    values.set(layer.name, layer.op === 'batch_norm' ? run.y : store(run.y))
    for (const [name, s] of run.statistics) statistics.set(name, s)
    runs.push(run)
  }
  const last = runs.at(-1)
  if (!last) throw new RangeError('a network without layers')
  const backward: NetworkRun['backward'] = (dy) => {
    const gradients = new Map<string, Tensor>()
    const pending = new Map<string, Tensor>([[layers.at(-1)!.name, store(dy)]])
    for (let i = layers.length - 1; i >= 0; i--) {
      const layer = layers[i]!
      const d = pending.get(layer.name)
      if (!d) continue
      const result = runs[i]!.backward(store(d))
      for (const [name, g] of result.gradients) gradients.set(name, g)
      layer.inputs.forEach((name, k) => {
        const known = pending.get(name)
        const dx = result.dx[k]!
        if (known) accumulate(known.data, dx.data)
        else pending.set(name, { shape: dx.shape, data: dx.data.slice() })
      })
    }
    return { dx: store(get(pending, 'input')), gradients }
  }
  return { output: get(values, layers.at(-1)!.name), statistics, margin: Math.min(...runs.map((run) => run.margin)), backward }
}

/** Running statistics after a step: new = (1 - momentum) old + momentum * mean over the shards of the batch statistics (DESIGN 3). */
export function updateRunningStatistics(tensors: Tensors, shards: readonly NetworkRun['statistics'][]): void {
  for (const [name, { momentum }] of shards[0] ?? []) {
    for (const [suffix, field] of [
      ['running_mean', 'mean'],
      ['running_var', 'unbiased'],
    ] as const) {
      const running = get(tensors, `${name}.${suffix}`).data
      for (let i = 0; i < running.length; i++) {
        const mean = shards.reduce((sum, shard) => sum + at(shard.get(name)![field], i), 0) / shards.length
        running[i] = (1 - momentum) * at(running, i) + momentum * mean
      }
    }
  }
}
