import type { LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import type { Shape4 } from '../reference/tensor.js'

function pool(input: Shape4, kernel: number, stride: number, padding: number): LayerCase {
  const name = `${input.join('x')}, kernel ${kernel}, stride ${stride}, padding ${padding}`
  return { name, input, layers: [l.maxPool('pool', 'input', kernel, stride, padding)] }
}

/** Windows of equal values (zeros after a ReLU, below the pool's padding): the gradient goes to one of them only. */
function afterRelu(input: Shape4): LayerCase {
  const name = `conv, batch_norm, relu, pool: ${input.join('x')}`
  const layers = [
    l.conv2d('conv', 'input', 9, { kernel: 3, padding: 1 }),
    l.batchNorm('bn', 'conv'),
    l.relu('relu', 'bn'),
    l.maxPool('pool', 'relu', 3, 2, 1),
  ]
  return { name, input, layers }
}

const small = [pool([2, 5, 7, 3], 3, 2, 1), pool([3, 4, 5, 2], 2, 2, 0), afterRelu([2, 6, 5, 3])]

describeLayers(
  'max_pool',
  ['max_pool_forward', 'max_pool_backward'],
  [
    ...small,
    pool([1, 1, 1, 1], 1, 1, 0),
    pool([1, 3, 3, 7], 3, 1, 1),
    pool([2, 8, 8, 33], 3, 2, 1),
    pool([2, 9, 7, 16], 3, 2, 1),
    pool([5, 7, 6, 64], 2, 2, 0),
    pool([1, 9, 9, 5], 5, 2, 2),
    pool([1, 7, 33, 4], 3, 3, 0),
  ],
)
describeFiniteDifferences('max_pool', small)
