/** Fresh weights (FACTS 1.1): a function of (seed, tensor name) alone, the same on every machine. */
import { callNative } from '../native.js'
import type { Init, ModelSpec } from './spec.js'
import { elementCount } from './tensors.js'
import type { TensorInfo } from './tensors.js'

/** How a tensor starts: the spec's own rule, else He for weights of two or more dimensions, 1 for scales and variances, 0 for the rest. */
export function initOf(spec: Pick<ModelSpec, 'init'>, { name, shape }: TensorInfo): Init {
  const own = spec.init?.[name]
  if (own !== undefined) return own
  if (shape.length >= 2) return { kind: 'he_fan_in' }
  return { kind: 'constant', value: name.endsWith('.running_var') || name.endsWith('.weight') ? 1 : 0 }
}

/** Standard deviation of He's normal distribution over the fan-in: sqrt(2 / (inputs of one output)). */
export function heStd(shape: readonly number[]): number {
  return Math.sqrt(2 / elementCount(shape.slice(1)))
}

/** A new tensor as its rule says. Needs the native core for random ones. */
export function initTensor(spec: Pick<ModelSpec, 'init'>, tensor: TensorInfo, seed: number): Float32Array {
  const data = new Float32Array(elementCount(tensor.shape))
  const init = initOf(spec, tensor)
  if (init.kind === 'constant') return init.value === 0 ? data : data.fill(init.value)
  const std = init.kind === 'normal' ? init.std : heStd(tensor.shape)
  callNative((binding) => binding.randomNormal(data, { seed, stream: tensor.name, std }))
  return data
}
