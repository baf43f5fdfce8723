import { gradientNorm } from './reduce_norm.js'

/** LARS's ratio of one tensor: coefficient |w| / (|g| + wd |w|), 1 where either norm is zero. */
export function trustRatio(value: Float64Array, gradient: Float64Array, weightDecay: number, coefficient: number): number {
  const [w, g] = [gradientNorm([value]), gradientNorm([gradient])]
  return w > 0 && g > 0 ? (coefficient * w) / (g + weightDecay * w) : 1
}
