import { withGate } from '../reference/relu.js'

/**
 * The results of `run`, once for every choice of sides of those ReLUs whose argument lies within `width` of 0 in the backward pass; the
 * exact choice comes first. float32 does not carry a network's forward pass closer to a kink than that, so either side is right, and
 * everything else must agree with one of the results.
 */
export function* sidesOfKinks<T>(width: number, run: () => T): Generator<{ exact: boolean; result: T }> {
  let count = 0
  const result = withGate(
    (z) => {
      if (Math.abs(z) < width) count++
      return z > 0
    },
    () => run(),
  )
  yield { exact: true, result }
  if (count > 6) throw new Error(`${count} activations lie within ${width} of a kink`)
  for (let flips = 1; flips < 2 ** count; flips++) {
    let k = 0
    const gate = (z: number): boolean => (Math.abs(z) < width && (flips >> k++) & 1 ? !(z > 0) : z > 0)
    yield { exact: false, result: withGate(gate, () => run()) }
  }
}
