// The unit's convolutions and their backward, seen through the plain sum of the branches, and once a shape through the attention.
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import { skCase } from '../support/sk-cases.js'

const dilated = l.dilatedBranches
const branch = (kernel: number, dilation: number, groups: number) => ({ kernel, dilation, groups })

/** Channels a group, as the paper's models have them and as they don't. */
const widths = [1, 2, 3, 4, 6, 8, 16, 32, 64].flatMap((width) => {
  const groups = width < 32 ? 4 : 2
  return [
    skCase([2, 6, 5, width * groups], width * groups, dilated(2, groups), null),
    skCase([3, 5, 6, width * groups], width * groups, dilated(2, groups), 5, 2),
  ]
})

const small = [
  ...[1, 2, 3, 4].map((count) => skCase([3, 5, 3, 6], 6, dilated(count, 3), null)),
  skCase([2, 5, 4, 4], 4, dilated(2, 1), null, 2),
  skCase([3, 5, 7, 7], 7, dilated(2, 7), null),
  skCase([3, 4, 3, 4], 4, [branch(3, 1, 1), branch(5, 1, 2)], null),
  skCase([3, 4, 3, 6], 4, dilated(2, 1), null, 1, true),
]

describeLayers(
  'sk_split',
  ['sk_split_forward', 'sk_split_backward'],
  [
    ...small,
    ...widths,
    ...[1, 2, 3, 4].map((count) => skCase([2, 7, 9, 24], 24, dilated(count, 6), null)),
    ...[1, 2, 3, 4].map((count) => skCase([2, 8, 9, 24], 24, dilated(count, 6), null, 2)),
    skCase([5, 7, 7, 33], 33, dilated(2, 33), 7),
    skCase([1, 7, 7, 32], 32, dilated(2, 8), null),
    skCase([4, 7, 5, 128], 128, dilated(2, 32), 32),
    skCase([4, 5, 5, 12], 20, dilated(2, 4), 5),
    skCase([4, 5, 7, 10], 10, dilated(2, 1), 4),
    // Rows that are one tile, alone and by twos, with groups of whole vectors.
    skCase([3, 7, 7, 32], 32, dilated(2, 2), null),
    skCase([1, 4, 14, 32], 32, dilated(3, 2), null),
    skCase([2, 5, 8, 64], 64, dilated(2, 2), null),
    skCase([1, 13, 16, 32], 32, dilated(2, 2), null, 2),
    // Real kernels of 5 and 7, each branch with groups of its own (Table 6).
    skCase([4, 9, 7, 16], 16, [branch(3, 1, 4), branch(5, 1, 8)], 8),
    skCase([4, 9, 7, 16], 16, [branch(3, 1, 4), branch(7, 1, 16)], 8),
    skCase([4, 9, 7, 16], 16, [branch(1, 1, 1), branch(3, 2, 4), branch(5, 2, 2)], 8, 2),
    skCase([3, 9, 7, 32], 32, [branch(3, 1, 8), branch(5, 1, 16)], null, 2),
    skCase([4, 8, 8, 64], 64, [branch(3, 1, 16), branch(7, 1, 64)], 8),
    // timm's skresnet: every branch reads its share of the channels.
    skCase([3, 6, 5, 32], 48, dilated(2, 1), 16, 2, true),
    skCase([3, 6, 5, 48], 16, dilated(3, 4), null, 1, true),
  ],
)
describeFiniteDifferences('sk_split', small)
