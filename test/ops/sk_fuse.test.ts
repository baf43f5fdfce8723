// The pooled sum of the branches; its result shows in the attention, its sums in the backward.
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import { skCase } from '../support/sk-cases.js'

const small = [1, 2, 3, 4].map((count) => skCase([5, 5, 3, 6], 6, l.dilatedBranches(count, 3), 5))

describeLayers(
  'sk_fuse',
  ['sk_fuse_forward'],
  [
    ...small,
    ...[1, 2, 3, 4].map((count) => skCase([7, 1, 1, 33], 33, l.dilatedBranches(count, 33), 3)),
    skCase([3, 33, 5, 8], 8, l.dilatedBranches(2, 2), 4),
    skCase([4, 7, 7, 130], 130, l.dilatedBranches(2, 10), 8),
  ],
)
describeFiniteDifferences('sk_fuse', small)
