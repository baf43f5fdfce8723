// The softmax over the branches and their weighted sum; without attention the plain sum.
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import { skCase } from '../support/sk-cases.js'

const small = [
  ...[1, 2, 3, 4].map((count) => skCase([4, 3, 5, 8], 8, l.dilatedBranches(count, 2), 3)),
  ...[2, 3].map((count) => skCase([4, 5, 4, 4], 4, l.dilatedBranches(count, 2), 3, 2)),
  skCase([3, 5, 5, 4], 4, l.dilatedBranches(3, 4), null, 2),
]

describeLayers(
  'sk_select',
  ['sk_select_forward', 'sk_select_backward'],
  [
    ...small,
    ...[1, 2, 3, 4].map((count) => skCase([4, 7, 9, 24], 24, l.dilatedBranches(count, 6), 12)),
    ...[1, 2, 3, 4].map((count) => skCase([2, 7, 7, 17], 17, l.dilatedBranches(count, 17), null)),
    skCase([33, 4, 5, 7], 7, l.dilatedBranches(2, 7), 33),
  ],
)
describeFiniteDifferences('sk_select', small)
