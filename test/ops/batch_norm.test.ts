import type { LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'

function norm(n: number, h: number, w: number, c: number): LayerCase {
  return { name: `${n}x${h}x${w}x${c}`, input: [n, h, w, c], layers: [l.batchNorm('bn', 'input')] }
}

/** A mean far from zero: the variance must not come from a difference of large sums. */
function shifted(n: number, h: number, w: number, c: number, mean: number): LayerCase {
  const plain = norm(n, h, w, c)
  // The mean itself is rounded to float32, which shifts every normalised value by up to mean * 2^-24.
  return { ...plain, name: `${plain.name}, mean ${mean}`, mean, factor: 8 + mean }
}

/** What the fusion pass makes one op of. */
function normRelu(n: number, h: number, w: number, c: number): LayerCase {
  const layers = [l.conv2d('conv', 'input', c), l.batchNorm('bn', 'conv'), l.relu('relu', 'bn')]
  return { name: `conv, batch_norm, relu: ${n}x${h}x${w}x${c}`, input: [n, h, w, c], layers }
}

function normAddRelu(n: number, h: number, w: number, c: number): LayerCase {
  const layers = [l.conv2d('conv', 'input', c), l.batchNorm('bn', 'conv'), l.add('add', 'bn', 'input'), l.relu('relu', 'add')]
  return { name: `conv, batch_norm, add, relu: ${n}x${h}x${w}x${c}`, input: [n, h, w, c], layers }
}

/** Both terms of the addition are norms, as in a bottleneck with a projection; the second is on the left. */
function twoNorms(n: number, h: number, w: number, c: number): LayerCase {
  const layers = [
    l.conv2d('a', 'input', c),
    l.batchNorm('bn_a', 'a'),
    l.conv2d('b', 'input', c),
    l.batchNorm('bn_b', 'b'),
    l.add('add', 'bn_b', 'bn_a'),
    l.relu('relu', 'add'),
  ]
  return { name: `two norms added, relu: ${n}x${h}x${w}x${c}`, input: [n, h, w, c], layers }
}

/** The norm's output has a second reader, so nothing may be fused over it. */
function normReadTwice(n: number, h: number, w: number, c: number): LayerCase {
  const layers = [l.batchNorm('bn', 'input'), l.relu('relu', 'bn'), l.add('add', 'bn', 'relu')]
  return { name: `batch_norm read by two layers: ${n}x${h}x${w}x${c}`, input: [n, h, w, c], layers }
}

describeLayers(
  'batch_norm',
  ['batch_norm_statistics', 'batch_norm_apply', 'batch_norm_close', 'batch_norm_gradient'],
  [
    norm(3, 1, 1, 1),
    norm(7, 1, 1, 33),
    norm(1, 7, 7, 7),
    norm(2, 33, 7, 16),
    norm(5, 8, 8, 64),
    norm(3, 5, 3, 130),
    norm(4, 16, 16, 3),
    shifted(3, 7, 5, 17, 100),
    shifted(4, 9, 8, 33, 1000),
    normRelu(2, 5, 7, 33),
    normAddRelu(3, 7, 5, 17),
    twoNorms(2, 6, 5, 12),
    normReadTwice(3, 5, 5, 7),
  ],
)
describeFiniteDifferences('batch_norm', [
  norm(5, 1, 1, 3),
  norm(3, 5, 7, 7),
  normRelu(2, 3, 5, 5),
  normAddRelu(2, 5, 3, 6),
  twoNorms(2, 3, 3, 5),
])
