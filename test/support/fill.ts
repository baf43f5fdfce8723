// The golden files' fill rule (test/golden/README.md): every element of a tensor follows from the tensor's name. 64-bit arithmetic in
// halves of 32 bits, because a network has 27 million elements and BigInt is a hundred times slower.

/** FNV-1a, 64 bits, as [high, low]. */
function fnv1a(name: string): [number, number] {
  let h = 0xcbf29ce484222325n
  for (const byte of Buffer.from(name)) h = BigInt.asUintN(64, (h ^ BigInt(byte)) * 0x100000001b3n)
  return [Number(h >> 32n), Number(h & 0xffffffffn)]
}

/** Upper half of the product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff
  const a1 = a >>> 16
  const b0 = b & 0xffff
  const b1 = b >>> 16
  const middle = a1 * b0 + ((a0 * b0) >>> 16)
  const carry = a0 * b1 + (middle & 0xffff)
  return (a1 * b1 + (middle >>> 16) + (carry >>> 16)) | 0
}

/** Element i -> u in [0, 1): splitmix64 of the name's hash, upper 24 bits. `map` turns it into the value. */
function fillWith(name: string, size: number, map: (u: number) => number): Float32Array {
  const out = new Float32Array(size)
  let [stateHigh, stateLow] = fnv1a(name)
  for (let i = 0; i < size; i++) {
    const sum = (stateLow >>> 0) + 0x7f4a7c15
    stateLow = sum >>> 0
    stateHigh = (stateHigh + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0)) >>> 0
    let low = stateLow ^ ((stateHigh << 2) | (stateLow >>> 30))
    let high = stateHigh ^ (stateHigh >>> 30)
    // * 0xbf58476d1ce4e5b9
    let newHigh = multiplyHigh(low >>> 0, 0x1ce4e5b9) + Math.imul(high, 0x1ce4e5b9) + Math.imul(low, 0xbf58476d)
    low = Math.imul(low, 0x1ce4e5b9)
    high = newHigh | 0
    low ^= (high << 5) | (low >>> 27)
    high ^= high >>> 27
    // * 0x94d049bb133111eb
    newHigh = multiplyHigh(low >>> 0, 0x133111eb) + Math.imul(high, 0x133111eb) + Math.imul(low, 0x94d049bb)
    high = newHigh | 0
    high ^= high >>> 31
    out[i] = map((high >>> 8) * 2 ** -24)
  }
  return out
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1)
}

/** A parameter or buffer called `name`, row-major. */
export function fillTensor(name: string, shape: readonly number[]): Float32Array {
  const leaf = name.slice(name.lastIndexOf('.') + 1)
  const size = count(shape)
  if (leaf === 'running_var') return fillWith(name, size, (u) => 1 + 0.5 * u)
  if (leaf === 'running_mean') return fillWith(name, size, (u) => 0.1 * (2 * u - 1))
  if (shape.length > 1) {
    const bound = Math.sqrt(6 / count(shape.slice(1)))
    return fillWith(name, size, (u) => (2 * u - 1) * bound)
  }
  return fillWith(name, size, leaf === 'weight' ? (u) => 1 + 0.1 * (2 * u - 1) : (u) => 0.1 * (2 * u - 1))
}

/** An input called `name`: uniform with variance 1. */
export function fillInput(name: string, shape: readonly number[]): Float32Array {
  return fillWith(name, count(shape), (u) => (2 * u - 1) * Math.sqrt(3))
}
