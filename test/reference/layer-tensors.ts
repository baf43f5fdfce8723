import type { Layer } from '../../lib/model/spec.js'
import { convOutputSize } from './conv2d.js'
import { poolOutputSize } from './max_pool.js'
import type { Shape4 } from './tensor.js'

export interface LayerTensor {
  name: string
  shape: number[]
  kind: 'param' | 'buffer'
}

/** The tensors of a batch norm over c channels. */
function batchNormTensors(name: string, c: number): LayerTensor[] {
  return [
    { name: `${name}.weight`, shape: [c], kind: 'param' },
    { name: `${name}.bias`, shape: [c], kind: 'param' },
    { name: `${name}.running_mean`, shape: [c], kind: 'buffer' },
    { name: `${name}.running_var`, shape: [c], kind: 'buffer' },
  ]
}

/** Output shape of one layer, and the tensors it owns (lib/model/spec.ts). */
export function layerShape(layer: Layer, inputs: readonly Shape4[]): { output: Shape4; tensors: LayerTensor[] } {
  const [n, h, w, c] = inputs[0]!
  const biased = (bias: boolean, out: number): LayerTensor[] => (bias ? [{ name: `${layer.name}.bias`, shape: [out], kind: 'param' }] : [])
  switch (layer.op) {
    case 'conv2d':
      return {
        output: [n, convOutputSize(h, layer), convOutputSize(w, layer), layer.out],
        tensors: [
          { name: `${layer.name}.weight`, shape: [layer.out, c / layer.groups, layer.kernel, layer.kernel], kind: 'param' },
          ...biased(layer.bias, layer.out),
        ],
      }
    case 'linear':
      return {
        output: [n, 1, 1, layer.out],
        tensors: [{ name: `${layer.name}.weight`, shape: [layer.out, c], kind: 'param' }, ...biased(layer.bias, layer.out)],
      }
    case 'batch_norm':
      return { output: [n, h, w, c], tensors: batchNormTensors(layer.name, c) }
    case 'max_pool':
      return { output: [n, poolOutputSize(h, layer), poolOutputSize(w, layer), c], tensors: [] }
    case 'global_avg_pool':
      return { output: [n, 1, 1, c], tensors: [] }
    case 'sk_unit': {
      const side = (size: number) => Math.floor((size - 1) / layer.stride) + 1
      const shares = layer.splitInput === true ? layer.branches.length : 1
      const paths = layer.branches.flatMap((branch, m): LayerTensor[] => [
        {
          name: `${layer.name}.paths.${m}.conv.weight`,
          shape: [layer.out, c / shares / branch.groups, branch.kernel, branch.kernel],
          kind: 'param',
        },
        ...batchNormTensors(`${layer.name}.paths.${m}.bn`, layer.out),
      ])
      const d = layer.attention?.width
      const attention: LayerTensor[] =
        d === undefined
          ? []
          : [
              { name: `${layer.name}.attn.fc_reduce.weight`, shape: [d, layer.out, 1, 1], kind: 'param' },
              ...batchNormTensors(`${layer.name}.attn.bn`, d),
              { name: `${layer.name}.attn.fc_select.weight`, shape: [layer.branches.length * layer.out, d, 1, 1], kind: 'param' },
            ]
      return { output: [n, side(h), side(w), layer.out], tensors: [...paths, ...attention] }
    }
    case 'concat':
      return { output: [n, h, w, inputs.reduce((sum, x) => sum + x[3], 0)], tensors: [] }
    case 'channel_slice':
      return { output: [n, h, w, layer.out], tensors: [] }
    case 'channel_shuffle':
    case 'relu':
    case 'sigmoid':
    case 'add':
    case 'channel_scale':
      return { output: [n, h, w, c], tensors: [] }
  }
}

/** All tensors of a network in the order of its layers, and the shape of its output. */
export function networkShape(layers: readonly Layer[], input: Shape4): { output: Shape4; tensors: LayerTensor[] } {
  const shapes = new Map<string, Shape4>([['input', input]])
  const tensors: LayerTensor[] = []
  let output = input
  for (const layer of layers) {
    const result = layerShape(
      layer,
      layer.inputs.map((name) => {
        const shape = shapes.get(name)
        if (!shape) throw new RangeError(`${layer.name} reads ${name}, which no layer before it is called`)
        return shape
      }),
    )
    shapes.set(layer.name, result.output)
    tensors.push(...result.tensors)
    output = result.output
  }
  return { output, tensors }
}
