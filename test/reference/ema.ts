import { at } from './tensor.js'

/** average = decay average + (1 - decay) value, in place. */
export function emaStep(average: Float64Array, value: Float64Array, decay: number): void {
  for (let i = 0; i < average.length; i++) average[i] = decay * at(average, i) + (1 - decay) * at(value, i)
}
