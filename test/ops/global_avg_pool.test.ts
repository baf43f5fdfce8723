import type { LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import type { Shape4 } from '../reference/tensor.js'

function pool(...input: Shape4): LayerCase {
  return { name: input.join('x'), input, layers: [l.globalAvgPool('pool', 'input')] }
}

describeLayers(
  'global_avg_pool',
  ['global_avg_pool_forward', 'global_avg_pool_backward'],
  [pool(1, 1, 1, 1), pool(1, 7, 7, 7), pool(3, 33, 5, 3), pool(2, 8, 8, 64), pool(5, 4, 3, 130), pool(4, 7, 7, 33)],
)
describeFiniteDifferences('global_avg_pool', [pool(1, 7, 7, 7), pool(3, 3, 5, 5)])
