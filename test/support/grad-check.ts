import { assertClose, norm } from './compare.js'
import { random } from './random.js'

/**
 * Compares a gradient with central differences of `f` around `at`, which is changed while checking and restored: along three random
 * directions and along `coordinates` single elements (all of them where there are fewer). `f` is computed in float64.
 */
export function checkGradient(
  what: string,
  f: () => number,
  at: Float64Array,
  gradient: ArrayLike<number>,
  options: { limit: number; floor?: number; step?: number; coordinates?: number; seed?: number },
): void {
  const { limit, floor = 0, step = 1e-6, coordinates = 12, seed = 1 } = options
  const r = random(seed)
  const along = (direction: (i: number) => number): number => {
    const saved = at.slice()
    const shifted = (t: number) => {
      for (let i = 0; i < at.length; i++) at[i] = saved[i]! + t * direction(i)
      return f()
    }
    const slope = (shifted(step) - shifted(-step)) / (2 * step)
    at.set(saved)
    return slope
  }
  const picked = at.length <= coordinates ? [...at.keys()] : Array.from({ length: coordinates }, () => r.integer(at.length))
  // Rounding errors are of the size of the whole gradient, also where the picked elements happen to be small.
  const scale = Math.max(floor, norm(gradient)) / Math.sqrt(at.length)
  assertClose(
    `${what}, single elements`,
    picked.map((i) => gradient[i] ?? NaN),
    picked.map((i) => along((k) => (k === i ? 1 : 0))),
    limit,
    scale * Math.sqrt(picked.length),
  )
  // Unit vectors, so that a step stays small whatever the number of elements; their slopes are about norm(gradient) / sqrt(elements).
  const directions = Array.from({ length: 3 }, () => Float64Array.from(at, () => (r.uniform() < 0.5 ? -1 : 1) / Math.sqrt(at.length)))
  const dot = (d: Float64Array) => d.reduce((sum, value, i) => sum + value * (gradient[i] ?? NaN), 0)
  assertClose(
    `${what}, directions`,
    directions.map(dot),
    directions.map((d) => along((i) => d[i]!)),
    limit,
    scale,
  )
}
