import { at } from './tensor.js'

export interface SgdSettings {
  lr: number
  momentum: number
  nesterov: boolean
  weightDecay: number
  /** LARS's ratio; 1 unless given. */
  trust?: number
}

/** As PyTorch's: d = g + wd w, v = m v + d, w -= lr v (nesterov: lr (d + m v)). Changes value and velocity in place. */
export function sgdStep(value: Float64Array, velocity: Float64Array, gradient: Float64Array, s: SgdSettings): void {
  for (let i = 0; i < value.length; i++) {
    const d = (s.trust ?? 1) * (at(gradient, i) + s.weightDecay * at(value, i))
    const v = s.momentum * at(velocity, i) + d
    velocity[i] = v
    value[i] = at(value, i) - s.lr * (s.nesterov ? d + s.momentum * v : v)
  }
}

/** The factor that brings the norm down to at most `clip`; 0 means off. */
export function clipFactor(norm: number, clip: number): number {
  return clip > 0 && norm > clip ? clip / norm : 1
}
