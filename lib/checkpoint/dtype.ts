/** Number types of safetensors files, and conversion to float32. */
import { SknetError } from '../errors.js'

export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array

interface Dtype {
  /** Bits of one number. */
  bits: number
  array: { new (buffer: ArrayBuffer, offset: number, length: number): TensorData; BYTES_PER_ELEMENT: number }
}

/**
 * F16, BF16 and the 8-bit floats come as their raw bits (Uint16Array, Uint8Array; `toFloat32` converts the 16-bit ones), the types below
 * a byte packed in a Uint8Array, C64 as pairs (real, imaginary) in a Float32Array, BOOL as bytes.
 */
const dtypes = {
  F4: { bits: 4, array: Uint8Array },
  F6_E2M3: { bits: 6, array: Uint8Array },
  F6_E3M2: { bits: 6, array: Uint8Array },
  BOOL: { bits: 8, array: Uint8Array },
  U8: { bits: 8, array: Uint8Array },
  I8: { bits: 8, array: Int8Array },
  F8_E5M2: { bits: 8, array: Uint8Array },
  F8_E4M3: { bits: 8, array: Uint8Array },
  F8_E8M0: { bits: 8, array: Uint8Array },
  I16: { bits: 16, array: Int16Array },
  U16: { bits: 16, array: Uint16Array },
  F16: { bits: 16, array: Uint16Array },
  BF16: { bits: 16, array: Uint16Array },
  I32: { bits: 32, array: Int32Array },
  U32: { bits: 32, array: Uint32Array },
  F32: { bits: 32, array: Float32Array },
  C64: { bits: 64, array: Float32Array },
  F64: { bits: 64, array: Float64Array },
  I64: { bits: 64, array: BigInt64Array },
  U64: { bits: 64, array: BigUint64Array },
} as const satisfies Record<string, Dtype>

export type DtypeName = keyof typeof dtypes

export interface SafeTensor {
  dtype: DtypeName
  shape: number[]
  data: TensorData
}

export function isDtype(name: string): name is DtypeName {
  return Object.hasOwn(dtypes, name)
}

export function dtypeNames(): string[] {
  return Object.keys(dtypes)
}

export function dtypeBits(dtype: DtypeName): number {
  return dtypes[dtype].bits
}

/** A zeroed array for `bytes` bytes of this type. */
export function allocate(dtype: DtypeName, bytes: number): TensorData {
  return viewOf(dtype, new ArrayBuffer(bytes))
}

/** The whole buffer as numbers of this type. */
export function viewOf(dtype: DtypeName, buffer: ArrayBuffer): TensorData {
  const { array } = dtypes[dtype]
  return new array(buffer, 0, buffer.byteLength / array.BYTES_PER_ELEMENT)
}

/** True where `data` is the array type of `dtype`. */
export function fits(dtype: DtypeName, data: unknown): data is TensorData {
  return data instanceof dtypes[dtype].array
}

export function bytesOf(data: TensorData): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

/** F32 as it is (no copy), F64, F16 and BF16 converted. Throws ERR_SKNET_FORMAT for other types; `name` is for the message. */
export function toFloat32({ dtype, data }: SafeTensor, name = 'the tensor'): Float32Array {
  if (dtype === 'F32') return data as Float32Array
  if (dtype === 'F64') return Float32Array.from(data as Float64Array)
  if (dtype === 'BF16') return fromBf16(data as Uint16Array)
  if (dtype === 'F16') return fromF16(data as Uint16Array)
  const details = { tensor: name, got: dtype, expected: 'F32, F64, F16 or BF16' }
  throw new SknetError('ERR_SKNET_FORMAT', `${name} holds ${dtype}; expected ${details.expected}`, details)
}

function fromBf16(bits: Uint16Array): Float32Array {
  const wide = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i]! << 16
  return new Float32Array(wide.buffer)
}

/** IEEE half: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
function fromF16(bits: Uint16Array): Float32Array {
  const result = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) {
    const exponent = (bits[i]! >> 10) & 31
    const fraction = bits[i]! & 1023
    const sign = bits[i]! & 0x8000 ? -1 : 1
    if (exponent === 31) result[i] = fraction === 0 ? sign * Infinity : NaN
    else result[i] = sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25))
  }
  return result
}
