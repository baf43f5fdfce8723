import type { Layer } from '../../lib/model/spec.js'
import type { LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import type { Shape4 } from '../reference/tensor.js'

/** Squeeze and excitation: the gate comes from the tensor it scales. */
function squeezeExcite(input: Shape4, width: number): LayerCase {
  const c = input[3]
  const layers: Layer[] = [
    l.globalAvgPool('pool', 'input'),
    l.linear('fc1', 'pool', width),
    l.relu('relu', 'fc1'),
    l.linear('fc2', 'relu', c),
    l.sigmoid('gate', 'fc2'),
    l.channelScale('scale', 'input', 'gate'),
  ]
  return { name: `squeeze and excitation, ${input.join('x')}, ${width} wide`, input, layers }
}

/** As timm writes the two layers: 1x1 convolutions with bias. */
function convolutionGate(input: Shape4, width: number): LayerCase {
  const c = input[3]
  const layers: Layer[] = [
    l.globalAvgPool('pool', 'input'),
    l.conv2d('fc1', 'pool', width, { bias: true }),
    l.relu('relu', 'fc1'),
    l.conv2d('fc2', 'relu', c, { bias: true }),
    l.sigmoid('gate', 'fc2'),
    l.channelScale('scale', 'input', 'gate'),
  ]
  return { name: `gate by 1x1 convolutions, ${input.join('x')}, ${width} wide`, input, layers }
}

const small = [squeezeExcite([2, 3, 5, 7], 3), convolutionGate([3, 5, 3, 6], 4)]

describeLayers(
  'channel_scale',
  ['channel_scale_forward', 'channel_scale_backward'],
  [
    ...small,
    squeezeExcite([1, 1, 1, 1], 1),
    squeezeExcite([5, 7, 7, 33], 8),
    squeezeExcite([3, 9, 4, 64], 4),
    convolutionGate([2, 7, 5, 130], 16),
  ],
)
describeFiniteDifferences('channel_scale', small)
