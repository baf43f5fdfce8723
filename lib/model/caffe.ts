/**
 * A network as a .caffemodel has it. Caffe's layers are read as they are, for the published SKNet-101 departs from the paper (attention of 16
 * channels in its second stage), and Caffe's max-pool begins at the image's edge and rounds up where PyTorch's pads.
 */
import type { SafeTensor } from '../checkpoint/safetensors.js'
import type { CaffePool } from '../checkpoint/caffe-file.js'
import { SknetError } from '../errors.js'
import type { Layer, ModelSpec } from './spec.js'
import { checkSpec } from './validate.js'

export interface CaffeFacts {
  pools: ReadonlyMap<string, CaffePool>
  eps: ReadonlyMap<string, number>
}

/** What a .caffemodel does not say, for whoever uses it. */
export const caffeNote =
  "A .caffemodel does not say how its pictures were prepared (order of colours, mean, scale); Caffe's are often BGR with a mean taken off. Check preprocessing"

/** `spec` with the attention widths, the max-pool and the eps of the file; `names` are ours to the file's. Throws ERR_SKNET_WEIGHTS. */
export function fitToCaffe(
  spec: ModelSpec,
  path: string,
  { pools, eps }: CaffeFacts,
  names: ReadonlyMap<string, string>,
  tensors: ReadonlyMap<string, SafeTensor>,
): ModelSpec {
  const fileName = (tensor: string) => names.get(tensor) ?? ''
  const epsOf = (norm: string, otherwise: number) => eps.get(layerOf(fileName(`${norm}.weight`))) ?? otherwise
  const layers = spec.layers.map((layer): Layer => {
    switch (layer.op) {
      case 'max_pool':
        return { ...layer, ...onlyPool(pools, path, layer.name) }
      case 'batch_norm':
        return { ...layer, eps: epsOf(layer.name, layer.eps) }
      case 'sk_unit': {
        const own = { ...layer, eps: epsOf(`${layer.name}.paths.0.bn`, layer.eps) }
        const width = tensors.get(fileName(`${layer.name}.attn.fc_reduce.weight`))?.shape[0]
        return layer.attention === null || width === undefined ? own : { ...own, attention: { width } }
      }
      default:
        return layer
    }
  })
  return checkSpec({ ...spec, layers })
}

/** These networks have one max-pool. A file that says nothing of it has weights alone, and keeps ours. */
function onlyPool(pools: ReadonlyMap<string, CaffePool>, path: string, layer: string): CaffePool | undefined {
  if (pools.size > 1) {
    const message = `${path} has ${pools.size} max-pools; expected one`
    throw new SknetError('ERR_SKNET_WEIGHTS', message, { path, tensor: layer, got: [...pools.keys()], expected: 'one max-pool' })
  }
  return [...pools.values()][0]
}

function layerOf(tensor: string): string {
  return tensor.slice(0, Math.max(0, tensor.lastIndexOf('.')))
}
