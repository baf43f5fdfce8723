/**
 * Layers as plain ONNX operators, on NCHW tensors: one function a layer type. Weights keep their names and their layout, which is ONNX's too.
 */
import type { BatchNormLayer, ChannelShuffleLayer, Conv2dLayer, Layer, LayerOp, LinearLayer, MaxPoolLayer, SkUnitLayer } from '../spec.js'
import type { GraphDraft } from './graph.js'

export interface Translation {
  graph: GraphDraft
  weights: ReadonlyMap<string, Float32Array>
  /** Batch norm's scale goes into the convolution before it. */
  fold: boolean
  /** Shape of a weight by its name. */
  shapeOf: (tensor: string) => readonly number[]
  /** Channels of a layer's first input. */
  channelsOf: (layer: Layer) => number
  /** The batch norm that goes into a convolution, by the convolution's name; none unless `fold`. */
  folded: ReadonlyMap<string, BatchNormLayer>
}

type Translate<L extends Layer> = (t: Translation, layer: L, inputs: string[]) => string
type Table = { [O in LayerOp]: Translate<Extract<Layer, { op: O }>> }

/** Adds a layer's nodes; returns the name of its output. */
export function translateLayer(t: Translation, layer: Layer, inputs: string[]): string {
  return (table[layer.op] as Translate<Layer>)(t, layer, inputs)
}

const table: Table = {
  conv2d: (t, layer, [x]) => {
    const norm = t.folded.get(layer.name)
    return convolution(t, norm?.name ?? layer.name, x!, { ...windowOf(layer), weight: layer.name, bias: layer.bias, norm })
  },
  batch_norm: (t, layer, [x]) => batchNorm(t, layer.name, x!, layer.eps),
  relu: ({ graph }, { name }, inputs) => graph.node('Relu', name, inputs),
  sigmoid: ({ graph }, { name }, inputs) => graph.node('Sigmoid', name, inputs),
  add: ({ graph }, { name }, inputs) => graph.node('Add', name, inputs),
  channel_scale: ({ graph }, { name }, inputs) => graph.node('Mul', name, inputs),
  global_avg_pool: ({ graph }, { name }, inputs) => graph.node('GlobalAveragePool', name, inputs),
  max_pool: maxPool,
  concat: ({ graph }, { name }, inputs) => graph.node('Concat', name, inputs, { axis: 1 }),
  channel_slice: ({ graph }, { name, first, out }, [x]) => {
    const bounds = [[first], [first + out], [1]].map((list) => graph.integers(list))
    return graph.node('Slice', name, [x!, ...bounds])
  },
  channel_shuffle: channelShuffle,
  linear,
  sk_unit: skUnit,
}

interface Convolution {
  kernel: number
  stride: number
  padding: number
  dilation: number
  groups: number
  /** Name in front of `.weight` and `.bias`. */
  weight: string
  bias: boolean
  /** The batch norm that follows, where there is one of its own. */
  norm?: { name: string; eps: number } | undefined
}

function windowOf({ kernel, stride, padding, dilation, groups }: Conv2dLayer) {
  return { kernel, stride, padding, dilation, groups }
}

/** A convolution and, where `norm` is given, its batch norm, folded or after it; `name` is the output's. */
function convolution(t: Translation, name: string, x: string, conv: Convolution): string {
  const { graph, weights } = t
  const { kernel, stride, padding, dilation, groups, norm } = conv
  const attributes = {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    dilations: [dilation, dilation],
    group: groups,
  }
  const weight = `${conv.weight}.weight`
  const bias = `${conv.weight}.bias`
  const dims = t.shapeOf(weight)
  if (norm !== undefined && t.fold) {
    const folded = foldNorm(weights, conv, norm)
    const inputs = [x, graph.tensor(weight, dims, folded.weight), graph.tensor(bias, [dims[0]!], folded.bias)]
    return graph.node('Conv', name, inputs, attributes)
  }
  const inputs = [x, graph.tensor(weight, dims, weights.get(weight)!)]
  if (conv.bias) inputs.push(graph.tensor(bias, [dims[0]!], weights.get(bias)!))
  const y = graph.node('Conv', norm === undefined ? name : `${conv.weight}/conv`, inputs, attributes)
  return norm === undefined ? y : batchNorm(t, norm.name, y, norm.eps, name)
}

/** w' = w g / sqrt(v + eps), b' = beta + (b - m) g / sqrt(v + eps), a channel; in float64. */
function foldNorm(weights: ReadonlyMap<string, Float32Array>, conv: Convolution, norm: { name: string; eps: number }) {
  const of = (name: string) => weights.get(name)!
  const weight = of(`${conv.weight}.weight`)
  const [gamma, beta] = [of(`${norm.name}.weight`), of(`${norm.name}.bias`)]
  const [mean, variance] = [of(`${norm.name}.running_mean`), of(`${norm.name}.running_var`)]
  const channels = gamma.length
  const run = weight.length / channels
  const result = { weight: new Float32Array(weight.length), bias: new Float32Array(channels) }
  for (let c = 0; c < channels; c++) {
    const scale = gamma[c]! / Math.sqrt(variance[c]! + norm.eps)
    for (let i = c * run; i < (c + 1) * run; i++) result.weight[i] = weight[i]! * scale
    result.bias[c] = beta[c]! + ((conv.bias ? of(`${conv.weight}.bias`)[c]! : 0) - mean[c]!) * scale
  }
  return result
}

function batchNorm({ graph, weights }: Translation, tensors: string, x: string, eps: number, name = tensors): string {
  const parts = ['weight', 'bias', 'running_mean', 'running_var'].map((part) => `${tensors}.${part}`)
  const inputs = parts.map((part) => graph.tensor(part, [weights.get(part)!.length], weights.get(part)!))
  return graph.node('BatchNormalization', name, [x, ...inputs], { epsilon: { float: eps } })
}

function maxPool({ graph }: Translation, { name, kernel, stride, padding, ceil }: MaxPoolLayer, inputs: string[]): string {
  return graph.node('MaxPool', name, inputs, {
    ...(ceil === true ? { ceil_mode: 1 } : {}),
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
  })
}

/** Channel j g + i comes from i c / g + j. A choice of channels, so that it needs no sizes, which may be free. */
function channelShuffle({ graph, channelsOf }: Translation, layer: ChannelShuffleLayer, [x]: string[]): string {
  const { name, groups } = layer
  const channels = channelsOf(layer)
  const run = channels / groups
  const from = Array.from({ length: channels }, (_, k) => (k % groups) * run + Math.floor(k / groups))
  return graph.node('Gather', name, [x!, graph.integers(from)], { axis: 1 })
}

/** [n, c, 1, 1] -> [n, out]: the same as a 1x1 convolution, but as the matrix product that runtimes know best. */
export function matrixProduct(t: Translation, { name, bias }: LinearLayer, inputs: string[], output: string): string {
  const { graph, weights, shapeOf } = t
  const flat = graph.node('Flatten', `${name}/flat`, inputs, { axis: 1 })
  const tensors = ['weight', ...(bias ? ['bias'] : [])].map((part) => `${name}.${part}`)
  const constants = tensors.map((tensor) => graph.tensor(tensor, shapeOf(tensor), weights.get(tensor)!))
  return graph.node('Gemm', `${name}/product`, [flat, ...constants], { transB: 1 }, [output])
}

function linear(t: Translation, layer: LinearLayer, inputs: string[]): string {
  const y = matrixProduct(t, layer, inputs, `${layer.name}/product`)
  return t.graph.node('Reshape', layer.name, [y, t.graph.integers([0, layer.out, 1, 1])])
}

/** Split, fuse, select (spec.ts): branches, their sum's mean, two 1x1 convolutions, softmax over the branches, weighted sum. */
function skUnit(t: Translation, layer: SkUnitLayer, [x]: string[]): string {
  const { graph } = t
  const { name, out, stride, eps } = layer
  const count = layer.branches.length
  const sources = branchInputs(t, layer, x!)
  const branches = layer.branches.map(({ kernel, dilation, groups }, m) => {
    const path = `${name}.paths.${m}`
    const padding = (dilation * (kernel - 1)) / 2
    const window = { kernel, stride, padding, dilation, groups }
    const y = convolution(t, `${path}.bn`, sources[m]!, {
      ...window,
      weight: `${path}.conv`,
      bias: false,
      norm: { name: `${path}.bn`, eps },
    })
    return graph.node('Relu', `${path}/act`, [y])
  })
  if (layer.attention === null) return graph.node('Sum', name, branches)
  const sum = graph.node('Sum', `${name}/sum`, branches)
  const pooled = graph.node('GlobalAveragePool', `${name}.attn/pool`, [sum])
  const point = { kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1, bias: false }
  const norm = { name: `${name}.attn.bn`, eps }
  const z = convolution(t, `${name}.attn.bn`, pooled, { ...point, weight: `${name}.attn.fc_reduce`, norm })
  const active = graph.node('Relu', `${name}.attn/act`, [z])
  const logits = convolution(t, `${name}.attn.fc_select`, active, { ...point, weight: `${name}.attn.fc_select` })
  // [n, M * c, 1, 1] -> [n, M, c, 1], and each branch's share as [n, c, 1, 1]; 0 is the batch as it comes.
  const stacked = graph.node('Reshape', `${name}.attn/stacked`, [logits, graph.integers([0, count, out, 1])])
  const shares = graph.node('Softmax', `${name}.attn/softmax`, [stacked], { axis: 1 })
  const each = branches.map((_, m) => `${name}.attn/share.${m}`)
  graph.node('Split', `${name}.attn/split`, [shares, graph.integers(branches.map(() => 1))], { axis: 1 }, each)
  const weighted = branches.map((branch, m) => {
    const share = graph.node('Reshape', `${name}.attn/weight.${m}`, [each[m]!, graph.integers([0, out, 1, 1])])
    return graph.node('Mul', `${name}.paths.${m}/weighted`, [branch, share])
  })
  return graph.node('Sum', name, weighted)
}

/** What each branch reads: the input, or its share of the channels. */
function branchInputs({ graph, channelsOf }: Translation, layer: SkUnitLayer, x: string): string[] {
  const { name, branches, splitInput } = layer
  if (splitInput !== true) return branches.map(() => x)
  const shares = branches.map((_, m) => `${name}.paths.${m}/input`)
  const size = channelsOf(layer) / branches.length
  graph.node('Split', `${name}/split`, [x, graph.integers(branches.map(() => size))], { axis: 1 }, shares)
  return shares
}
