/** A seeded source of numbers for tests: the same seed gives the same numbers everywhere. */
export interface Random {
  /** In [0, 1). */
  uniform(): number
  /** Mean 0, variance 1. */
  normal(): number
  /** In 0 .. limit - 1. */
  integer(limit: number): number
  /** Numbers that float32 holds exactly, so that both sides of a comparison start from the same values. */
  normals(count: number, std?: number, mean?: number): Float32Array
}

/** sfc32 (Chris Doty-Humphrey, PractRand), seeded with one number. */
export function random(seed: number): Random {
  let a = 0x9e3779b9
  let b = seed | 0
  let c = 0x243f6a88
  let counter = 1
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + t
    c |= 0
    return t >>> 0
  }
  for (let i = 0; i < 16; i++) next()
  const uniform = () => next() / 2 ** 32
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
  return {
    uniform,
    normal,
    integer: (limit) => Math.floor(uniform() * limit),
    normals: (count, std = 1, mean = 0) => Float32Array.from({ length: count }, () => mean + std * normal()),
  }
}

/** A seed from a name, so that cases need no seeds of their own (FNV-1a, 32 bits). */
export function seedOf(name: string): number {
  let h = 0x811c9dc5
  for (const byte of Buffer.from(name)) h = Math.imul(h ^ byte, 0x01000193)
  return h >>> 0
}
