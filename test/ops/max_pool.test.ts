import type { LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import type { Shape4 } from '../reference/tensor.js'

function pool(input: Shape4, kernel: number, stride: number, padding: number, ceil?: true): LayerCase {
  const name = `${input.join('x')}, kernel ${kernel}, stride ${stride}, padding ${padding}${ceil ? ', ceil' : ''}`
  return { name, input, layers: [l.maxPool('pool', 'input', kernel, stride, padding, ceil)] }
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
    // Caffe's stem: even sizes, no padding, a cut window at the end; then sizes where nothing is cut, where a window would begin beyond the
    // image, and images smaller than the window.
    pool([2, 8, 12, 5], 3, 2, 0, true),
    pool([2, 7, 10, 17], 3, 2, 0, true),
    pool([1, 6, 7, 3], 1, 3, 0, true),
    pool([1, 6, 9, 3], 2, 3, 1, true),
    pool([2, 2, 1, 3], 3, 2, 0, true),
  ],
)
describeFiniteDifferences('max_pool', small)
