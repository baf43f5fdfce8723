import { tensor, type Tensor } from './tensor.js'

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** The bfloat16 nearest to a finite number, ties to even. */
export function bf16(x: number): number {
  float[0] = x
  bits[0] = ((bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) >>> 16) << 16
  return float[0]
}

/** What is left of a tensor that is stored as bfloat16. */
export function roundToBf16(t: Tensor): Tensor {
  return tensor(t.shape, t.data.map(bf16))
}
