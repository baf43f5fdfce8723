// The one place that says how close is close enough.

/** Spacing of float32 at 1. */
export const epsilon = 2 ** -23

/**
 * What a relative error may be after sums of `length` rounded terms: rounding errors add up like a random walk. The factor leaves room for
 * a second rounding of inputs and outputs, and for BN's difference of nearly equal sums.
 */
export function tolerance(length: number, factor = 8): number {
  return factor * epsilon * Math.sqrt(Math.max(length, 1))
}

export function norm(a: ArrayLike<number>): number {
  let squares = 0
  for (let i = 0; i < a.length; i++) squares += (a[i] ?? NaN) ** 2
  return Math.sqrt(squares)
}

/** norm(a - b) / max(norm(b), floor); Infinity where lengths differ or a number is not finite. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>, floor = 0): number {
  if (a.length !== b.length) return Infinity
  let squares = 0
  for (let i = 0; i < a.length; i++) squares += ((a[i] ?? NaN) - (b[i] ?? NaN)) ** 2
  const error = Math.sqrt(squares)
  if (error === 0) return 0
  const relative = error / Math.max(norm(b), floor)
  return Number.isFinite(relative) ? relative : Infinity
}

/** Throws, naming `what`, unless a is within `limit` of b. Returns the relative error. */
export function assertClose(what: string, a: ArrayLike<number>, b: ArrayLike<number>, limit: number, floor = 0): number {
  const error = relativeError(a, b, floor)
  if (error <= limit) return error
  let worst = 0
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = (k: number) => Math.abs((a[k] ?? NaN) - (b[k] ?? NaN))
    if (!(difference(i) <= difference(worst))) worst = i
  }
  throw new Error(
    `${what}: relative error ${error.toExponential(2)}, at most ${limit.toExponential(2)} allowed` +
      ` (${a.length} values, expected ${b.length}; worst at ${worst}: got ${a[worst]}, expected ${b[worst]})`,
  )
}
