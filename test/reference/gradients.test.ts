// The reference against itself: every backward must be the derivative of its forward, by central differences in float64.
import type { Layer } from '../../lib/model/spec.js'
import { checkGradient } from '../support/grad-check.js'
import { drawCase, objective, type LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { random } from '../support/random.js'
import { softmaxCrossEntropy } from './softmax_cross_entropy.js'
import { tensor, type Shape4 } from './tensor.js'

const shapeOnly = (name: string, input: Shape4, ...layers: Layer[]): LayerCase => ({ name, input, layers })

const cases: LayerCase[] = [
  shapeOnly('conv2d 1x1', [2, 3, 5, 7], l.conv2d('c', 'input', 5)),
  shapeOnly(
    'conv2d 3x3 stride 2, padding, groups, bias',
    [2, 7, 6, 6],
    l.conv2d('c', 'input', 9, { kernel: 3, stride: 2, padding: 1, groups: 3, bias: true }),
  ),
  shapeOnly('conv2d 5x5 dilation 2, depthwise', [1, 9, 7, 3], l.conv2d('c', 'input', 3, { kernel: 5, padding: 4, dilation: 2, groups: 3 })),
  shapeOnly('conv2d 7x7 stride 2 on one pixel', [3, 1, 1, 3], l.conv2d('c', 'input', 4, { kernel: 7, stride: 2, padding: 3 })),
  shapeOnly('batch_norm', [3, 3, 5, 7], l.batchNorm('b', 'input')),
  shapeOnly('relu', [3, 3, 5, 7], l.relu('r', 'input')),
  shapeOnly('sigmoid', [3, 1, 1, 7], l.sigmoid('s', 'input')),
  shapeOnly('add of one input twice', [2, 3, 3, 5], l.relu('r', 'input'), l.add('a', 'r', 'input')),
  shapeOnly('max_pool', [2, 7, 5, 3], l.maxPool('p', 'input', 3, 2, 1)),
  shapeOnly('global_avg_pool', [3, 5, 7, 4], l.globalAvgPool('p', 'input')),
  shapeOnly('linear', [3, 1, 1, 7], l.linear('f', 'input', 5)),
  shapeOnly(
    'channel_scale by a squeeze-and-excitation gate',
    [3, 3, 5, 6],
    ...[
      l.globalAvgPool('p', 'input'),
      l.linear('f1', 'p', 3),
      l.relu('r', 'f1'),
      l.linear('f2', 'r', 6),
      l.sigmoid('s', 'f2'),
      l.channelScale('x', 'input', 's'),
    ],
  ),
  ...[1, 2, 3, 4].flatMap((count) => [
    shapeOnly(`sk_unit of ${count} branches`, [4, 5, 3, 6], l.skUnit('u', 'input', 6, l.dilatedBranches(count, 3), 5)),
    shapeOnly(
      `sk_unit of ${count} branches, stride 2, plain sum`,
      [3, 5, 4, 4],
      l.skUnit('u', 'input', 6, l.dilatedBranches(count, 2), null, 2),
    ),
  ]),
  shapeOnly(
    'a bottleneck with its shortcut',
    [3, 4, 5, 6],
    ...[
      l.conv2d('c1', 'input', 8),
      l.batchNorm('b1', 'c1'),
      l.relu('r1', 'b1'),
      l.skUnit('u', 'r1', 8, l.dilatedBranches(2, 4), 4),
      l.conv2d('c3', 'u', 6),
      l.batchNorm('b3', 'c3'),
      l.add('a', 'b3', 'input'),
      l.relu('r3', 'a'),
    ],
  ),
]

describe('reference gradients by central differences', () => {
  for (const c of cases) {
    it(c.name, () => {
      const drawn = drawCase(c, 1e-4)
      const f = () => objective(c, drawn)
      const floor = 1e-3 * Math.hypot(...drawn.gy.data)
      checkGradient('dx', f, drawn.x.data, drawn.dx.data, { limit: 1e-6, floor })
      for (const [name, g] of drawn.gradients) checkGradient(name, f, drawn.tensors.get(name)!.data, g.data, { limit: 1e-6, floor })
      const parameters = drawn.infos.filter((info) => info.kind === 'param').length
      if (drawn.gradients.size !== parameters) throw new Error(`${drawn.gradients.size} gradients for ${parameters} parameters`)
    })
  }

  for (const smoothing of [0, 0.1]) {
    it(`softmax_cross_entropy, label smoothing ${smoothing}, one image ignored`, () => {
      const logits = tensor([4, 1, 1, 7], random(3).normals(28, 2))
      const labels = [6, -1, 0, 3]
      const result = softmaxCrossEntropy(logits, labels, smoothing, 1 / 4)
      const f = () => softmaxCrossEntropy(logits, labels, smoothing, 1 / 4).lossSum / 4
      checkGradient('dlogits', f, logits.data, result.dlogits.data, { limit: 1e-7, coordinates: 28 })
    })
  }
})
