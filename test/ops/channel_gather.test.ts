import type { Layer } from '../../lib/model/spec.js'
import type { LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import type { Shape4 } from '../reference/tensor.js'

function layerCase(name: string, input: Shape4, layers: Layer[]): LayerCase {
  return { name: `${name}, ${input.join('x')}`, input, layers }
}

/** Two convolutions of different widths, concatenated, and where `groups` says so shuffled. */
function concatenated(input: Shape4, widths: number[], groups?: number): LayerCase {
  const parts = widths.map((width, i) => l.conv2d(`part${i}`, 'input', width))
  const concat = l.concat('concat', ...parts.map(({ name }) => name))
  const name = `concat ${widths.join(' + ')}${groups === undefined ? '' : `, shuffle ${groups}`}`
  return layerCase(name, input, [...parts, concat, ...(groups === undefined ? [] : [l.channelShuffle('shuffle', 'concat', groups)])])
}

/** Slices that leave channels out and share others, so that gradients are sums and zeros. */
function sliced(input: Shape4, slices: [first: number, out: number][]): LayerCase {
  const parts = slices.map(([first, out], i) => l.channelSlice(`slice${i}`, 'input', first, out))
  const name = `slices ${slices.map((s) => s.join('+')).join(', ')}`
  const all = parts.length === 1 ? parts : [...parts, l.concat('concat', ...parts.map((part) => part.name))]
  return layerCase(name, input, [...all, l.conv2d('conv', all.at(-1)!.name, 4)])
}

/** ShuffleNetV2's unit: one half stays, the other goes through convolutions, and both are shuffled together. */
function shuffleUnit(input: Shape4): LayerCase {
  const half = input[3] / 2
  return layerCase('shuffle unit', input, [
    l.channelSlice('low', 'input', 0, half),
    l.channelSlice('high', 'input', half, half),
    l.conv2d('depthwise', 'high', half, { kernel: 3, padding: 1, groups: half }),
    l.batchNorm('bn', 'depthwise'),
    l.relu('relu', 'bn'),
    l.concat('concat', 'low', 'relu'),
    l.channelShuffle('shuffle', 'concat', 2),
  ])
}

const small = [
  concatenated([2, 3, 2, 3], [5, 2]),
  concatenated([2, 2, 3, 2], [3, 5, 1], 3),
  sliced(
    [2, 3, 3, 7],
    [
      [1, 3],
      [2, 4],
    ],
  ),
  shuffleUnit([2, 3, 3, 6]),
]

describeLayers(
  'channel_gather',
  ['channel_gather_forward', 'channel_gather_backward'],
  [
    ...small,
    concatenated([2, 5, 4, 3], [16, 32, 64, 8]),
    concatenated([2, 5, 4, 3], [24, 24], 2),
    concatenated([1, 7, 9, 3], [58, 58], 2),
    concatenated([3, 3, 5, 3], [17, 19, 12], 4),
    sliced([3, 5, 5, 116], [[58, 58]]),
    sliced(
      [2, 6, 5, 64],
      [
        [0, 32],
        [32, 32],
        [16, 20],
      ],
    ),
    layerCase('slice of the input alone', [2, 5, 3, 33], [l.channelSlice('slice', 'input', 31, 2)]),
    layerCase('shuffle alone', [2, 5, 3, 48], [l.channelShuffle('shuffle', 'input', 8)]),
    layerCase(
      'a tensor twice',
      [2, 4, 3, 9],
      [l.conv2d('a', 'input', 5), l.concat('concat', 'a', 'a'), l.channelShuffle('s', 'concat', 2)],
    ),
    layerCase(
      'a concat that others read, too',
      [2, 4, 3, 9],
      [
        l.conv2d('a', 'input', 5),
        l.conv2d('b', 'input', 7),
        l.concat('concat', 'a', 'b'),
        l.channelShuffle('shuffle', 'concat', 3),
        l.add('sum', 'shuffle', 'concat'),
      ],
    ),
    shuffleUnit([3, 6, 5, 48]),
    shuffleUnit([2, 4, 7, 116]),
  ],
)
describeFiniteDifferences('channel_gather', small)
