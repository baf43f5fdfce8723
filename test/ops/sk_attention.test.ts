// The unit's small network: its results show in the output, its gradients in those of its weights and of the input.
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import { skCase } from '../support/sk-cases.js'

const small = [1, 2, 3, 4].map((count) => skCase([6, 3, 3, 6], 6, l.dilatedBranches(count, 3), 3))

describeLayers(
  'sk_attention',
  ['sk_attention_forward', 'sk_attention_backward'],
  [
    ...small,
    skCase([5, 3, 3, 33], 33, l.dilatedBranches(2, 33), 1),
    skCase([3, 4, 3, 24], 24, l.dilatedBranches(3, 6), 17),
    skCase([4, 3, 3, 128], 128, l.dilatedBranches(2, 32), 32),
    skCase([17, 1, 1, 16], 16, l.dilatedBranches(2, 4), 5),
  ],
)
describeFiniteDifferences('sk_attention', small)
