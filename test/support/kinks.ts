import { withGate } from '../reference/relu.js'

/**
 * The results of `run` with the ReLUs whose argument is less than `width` from 0 in the backward pass on either side of their kink: first
 * all on the exact side, then one of them on the other, then two. float32 does not carry a network's forward pass closer to a kink than
 * that, so either side is right, and everything else must agree with one of the results.
 */
export function* sidesOfKinks<T>(width: number, run: () => T): Generator<{ exact: boolean; result: T }> {
  const flipped = (flips: readonly number[]) => {
    let k = 0
    const gate = (z: number): boolean => (Math.abs(z) < width && flips.includes(k++) ? !(z > 0) : z > 0)
    return { exact: flips.length === 0, result: withGate(gate, run), kinks: k }
  }
  const first = flipped([])
  yield first
  const kinks = Array.from({ length: first.kinks }, (_, i) => i)
  for (const k of kinks) yield flipped([k])
  for (const a of kinks) for (const b of kinks.slice(a + 1)) yield flipped([a, b])
}
