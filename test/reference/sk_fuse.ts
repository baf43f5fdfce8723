import { addForward } from './add.js'
import { globalAvgPoolBackward, globalAvgPoolForward } from './global_avg_pool.js'
import type { Shape4, Tensor } from './tensor.js'

/** Branch outputs U_m [n, h, w, c] (after BN and ReLU) -> s [n, 1, 1, c], the mean over h, w of their sum. */
export function skFuseForward(branches: readonly Tensor[]): Tensor {
  return globalAvgPoolForward(branches.reduce(addForward))
}

/** The gradient that every U_m receives alike. */
export function skFuseBackward(ds: Tensor, shape: Shape4): Tensor {
  return globalAvgPoolBackward(ds, shape)
}
