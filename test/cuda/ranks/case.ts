/** What several ranks train together: enough weights for several buckets. */
import * as l from '../../support/layers.js'
import { fullSettings, type DrawnTraining, type TrainCase } from '../../support/train-case.js'
import { tensor } from '../../reference/tensor.js'

export const classes = 5

/** The case of one rank, or of a plan that does the work of `ranks` alone. */
export function rankCase(shards: number, ranks = 1): TrainCase {
  return {
    name: 'ranks',
    layers: [
      l.conv2d('a', 'input', 32, { kernel: 3, padding: 1, stride: 2 }),
      l.batchNorm('a.bn', 'a'),
      l.relu('a.relu', 'a.bn'),
      l.conv2d('b', 'a.relu', 64, { kernel: 3, padding: 1, stride: 2 }),
      l.batchNorm('b.bn', 'b'),
      l.relu('b.relu', 'b.bn'),
      l.globalAvgPool('pool', 'b.relu'),
      l.linear('c', 'pool', 300),
      l.linear('fc', 'c', classes),
    ],
    input: [7, 8, 3],
    classes,
    shardSize: 4,
    shards: shards * ranks,
    settings: fullSettings,
  }
}

/** A rank's part of each global batch. */
export function partOf(drawn: DrawnTraining, rank: number, ranks: number): DrawnTraining {
  const batches = drawn.batches.map(({ images, labels }) => {
    const [n, ...rest] = images.shape
    const [count, size] = [n! / ranks, images.data.length / ranks]
    return {
      images: tensor([count, ...rest], images.data.slice(rank * size, (rank + 1) * size)),
      labels: labels.slice(rank * count, (rank + 1) * count),
    }
  })
  return { ...drawn, batches }
}
