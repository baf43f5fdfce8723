/**
 * Exponential moving average of the weights: after each step ema = d ema + (1 - d) value, for parameters and running statistics alike,
 * starting from the initial values. The native core keeps it; here is which weights a run shows to the outside.
 */

/** The weights by which a run is judged and that `best/` stands for: the average where one is kept. */
export function judgedSection(emaDecay: number): 'value' | 'ema' {
  return emaDecay > 0 ? 'ema' : 'value'
}
