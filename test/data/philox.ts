/** Philox4x32-10 once more, from the paper (Salmon et al., SC 2011) and with BigInt: the reference for what the native core draws. */

const mask = 0xffffffffn

export function philox(key: bigint, counter: readonly [number, number, number, number]): number[] {
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint]
  let k0 = key & mask
  let k1 = (key >> 32n) & mask
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0
    const p1 = 0xcd9e8d57n * c2
    ;[c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, p1 & mask, (p0 >> 32n) ^ c3 ^ k1, p0 & mask]
    k0 = (k0 + 0x9e3779b9n) & mask
    k1 = (k1 + 0xbb67ae85n) & mask
  }
  return [c0, c1, c2, c3].map(Number)
}

/** Numbers of the run format: what a random number is for. */
export const purposes = { init: 0, order: 1, crop: 2, flip: 3, replace: 4, effects: 6, mix: 7 } as const

export interface Stream {
  uniform(): number
  below(n: number): number
}

export function philoxStream(seed: number, epoch: number, sample: number, purpose: keyof typeof purposes): Stream {
  let block: number[] = []
  let counter = 0
  const next = () => {
    if (block.length === 0) block = philox(BigInt(seed), [counter++, epoch, sample, purposes[purpose]])
    return block.shift()!
  }
  return {
    uniform: () => Math.floor(next() / 256) / 2 ** 24,
    below: (n) => Number((BigInt(next()) * BigInt(n)) >> 32n),
  }
}
