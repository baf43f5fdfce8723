/** The tensors a network owns, in the order of its layers; names and shapes are timm's (spec.ts says which layer owns which). */
import { branchChannels, inferShapes, inputShape } from './shapes.js'
import type { Layer, ModelSpec } from './spec.js'

export interface TensorInfo {
  name: string
  /** Convolutions OIHW, linear [out, in], the rest [channels]. */
  shape: number[]
  /** Buffers (running statistics) are not trained. */
  kind: 'param' | 'buffer'
}

const known = new WeakMap<ModelSpec, readonly TensorInfo[]>()

/** All tensors, params and buffers in the order in which their layers come. */
export function tensorInfos(spec: ModelSpec): readonly TensorInfo[] {
  let result = known.get(spec)
  if (result === undefined) {
    const { size, channels } = spec.input
    const shapes = inferShapes(spec)
    result = spec.layers.flatMap((layer) => layerTensors(layer, inputShape(layer, shapes, [size, size, channels])[2]))
    known.set(spec, result)
  }
  return result
}

/** Numbers in a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1)
}

/** The tensors of one layer whose (first) input has c channels. */
export function layerTensors(layer: Layer, c: number): TensorInfo[] {
  const { name } = layer
  switch (layer.op) {
    case 'conv2d':
      return [param(`${name}.weight`, [layer.out, c / layer.groups, layer.kernel, layer.kernel]), ...bias(name, layer.bias, layer.out)]
    case 'linear':
      return [param(`${name}.weight`, [layer.out, c]), ...bias(name, layer.bias, layer.out)]
    case 'batch_norm':
      return norm(name, c)
    case 'sk_unit': {
      const paths = layer.branches.flatMap(({ kernel, groups }, m) => [
        param(`${name}.paths.${m}.conv.weight`, [layer.out, branchChannels(layer, c) / groups, kernel, kernel]),
        ...norm(`${name}.paths.${m}.bn`, layer.out),
      ])
      if (layer.attention === null) return paths
      const d = layer.attention.width
      return [
        ...paths,
        param(`${name}.attn.fc_reduce.weight`, [d, layer.out, 1, 1]),
        ...norm(`${name}.attn.bn`, d),
        param(`${name}.attn.fc_select.weight`, [layer.branches.length * layer.out, d, 1, 1]),
      ]
    }
    case 'relu':
    case 'sigmoid':
    case 'add':
    case 'max_pool':
    case 'global_avg_pool':
    case 'channel_scale':
    case 'concat':
    case 'channel_slice':
    case 'channel_shuffle':
      return []
  }
}

function param(name: string, shape: number[]): TensorInfo {
  return { name, shape, kind: 'param' }
}

function bias(layer: string, has: boolean, out: number): TensorInfo[] {
  return has ? [param(`${layer}.bias`, [out])] : []
}

function norm(name: string, c: number): TensorInfo[] {
  const buffer = (part: string): TensorInfo => ({ name: `${name}.${part}`, shape: [c], kind: 'buffer' })
  return [param(`${name}.weight`, [c]), param(`${name}.bias`, [c]), buffer('running_mean'), buffer('running_var')]
}
