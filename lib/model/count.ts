/** Parameters and multiply-accumulates of a network, layer by layer. */
import { branchChannels, inferShapes, inputShape } from './shapes.js'
import type { InputSize, Shape } from './shapes.js'
import type { Layer, ModelSpec } from './spec.js'
import { elementCount, layerTensors } from './tensors.js'

export interface LayerCount {
  name: string
  op: Layer['op']
  /** One image's output: [h, w, c]. */
  outputShape: Shape
  params: number
  /** Numbers kept but not trained: running statistics. */
  buffers: number
  macs: number
}

/**
 * One row a layer for an input of `size` (default: the model's own). MACs are those of convolutions and linear layers, the attention's
 * and SE's included; batch norms, activations, pooling and sums count nothing (FACTS 1.3).
 */
export function countLayers(spec: ModelSpec, size: InputSize = spec.input.size): LayerCount[] {
  const shapes = inferShapes(spec, size)
  const { height, width } = typeof size === 'number' ? { height: size, width: size } : size
  return spec.layers.map((layer) => {
    const input = inputShape(layer, shapes, [height, width, spec.input.channels])
    const outputShape = shapes.get(layer.name)!
    const tensors = layerTensors(layer, input[2])
    const count = (kind: 'param' | 'buffer') => tensors.filter((t) => t.kind === kind).reduce((sum, t) => sum + elementCount(t.shape), 0)
    return {
      name: layer.name,
      op: layer.op,
      outputShape,
      params: count('param'),
      buffers: count('buffer'),
      macs: layerMacs(layer, input[2], outputShape),
    }
  })
}

export function sumOf(rows: readonly LayerCount[], column: 'params' | 'buffers' | 'macs'): number {
  return rows.reduce((sum, row) => sum + row[column], 0)
}

function layerMacs(layer: Layer, c: number, [h, w, out]: Shape): number {
  switch (layer.op) {
    case 'conv2d':
      return (h * w * out * c * layer.kernel ** 2) / layer.groups
    case 'linear':
      return out * c
    case 'sk_unit': {
      const channels = branchChannels(layer, c)
      const split = layer.branches.reduce((sum, branch) => sum + (h * w * out * channels * branch.kernel ** 2) / branch.groups, 0)
      const d = layer.attention?.width ?? 0
      return split + d * out + layer.branches.length * out * d
    }
    case 'batch_norm':
    case 'relu':
    case 'sigmoid':
    case 'add':
    case 'max_pool':
    case 'global_avg_pool':
    case 'channel_scale':
    case 'concat':
    case 'channel_slice':
    case 'channel_shuffle':
      return 0
  }
}
