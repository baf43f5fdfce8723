import { at, map, type Tensor } from './tensor.js'

/** Whether the gradient passes where the forward's argument was z. */
export type Gate = (z: number) => boolean

/** The derivative at 0 is 0, as everywhere. */
const exactGate: Gate = (z) => z > 0
let gate = exactGate

/** Runs `f` with other gates: which side of its kink a ReLU takes is decided by rounding where z is nearly 0. */
export function withGate<T>(other: Gate, f: () => T): T {
  gate = other
  try {
    return f()
  } finally {
    gate = exactGate
  }
}

export function reluForward(x: Tensor): Tensor {
  return map(x, (value) => Math.max(value, 0))
}

export function reluBackward(dy: Tensor, x: Tensor): Tensor {
  return map(dy, (value, i) => (gate(at(x.data, i)) ? value : 0))
}

/** Distance of the nearest element to the kink at 0. */
export function reluMargin(x: Tensor): number {
  return x.data.reduce((least, value) => Math.min(least, Math.abs(value)), Infinity)
}
