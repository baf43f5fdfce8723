/** What is run by the candidates of each vendor's library: all layers of a case are theirs. */
import type { Layer } from '../../../lib/model/spec.js'
import type { LayerCase } from '../../support/layer-case.js'
import * as l from '../../support/layers.js'
import { plainSettings, type TrainCase } from '../../support/train-case.js'

export interface CaseResult {
  name: string
  /** The steps that the candidate ran, `op layer`. */
  ran: string[]
  /** In bfloat16, how far from the candidate "direct". */
  bf16: number
  error?: string
}

const normed = (name: string): Layer[] => [l.batchNorm(`${name}.bn`, name), l.relu(`${name}.relu`, `${name}.bn`)]

/** Two convolutions with a residual addition behind them, whose batch norms all make passes of their own. */
const residual: Layer[] = [
  l.conv2d('a', 'input', 24),
  ...normed('a'),
  l.conv2d('b', 'a.relu', 16),
  l.batchNorm('b.bn', 'b'),
  l.add('sum', 'b.bn', 'input'),
  l.relu('y', 'sum'),
  // Two readers: each adds its share of the gradient.
  l.conv2d('c', 'y', 8),
  l.conv2d('d', 'y', 8),
  l.add('end', 'c', 'd'),
]

const classifier = (kernel: number, classes: number): Layer[] => [
  l.conv2d('a', 'input', 16, { kernel, padding: (kernel - 1) / 2 }),
  l.batchNorm('n', 'a'),
  l.relu('r', 'n'),
  l.globalAvgPool('p', 'r'),
  l.linear('fc', 'p', classes),
]

function training(layers: Layer[], channels: number, classes: number): TrainCase {
  return {
    name: 'training',
    layers,
    input: [5, 4, channels],
    classes,
    shardSize: 4,
    shards: 2,
    settings: { ...plainSettings, lr: 0.05 },
  }
}

export const blockCases = {
  pointwise: [
    { name: 'bias, odd channels', input: [3, 5, 4, 33], layers: [l.conv2d('a', 'input', 70, { bias: true })] },
    { name: 'few channels', input: [2, 3, 3, 3], layers: [l.conv2d('a', 'input', 5)] },
    { name: 'linear', input: [7, 1, 1, 20], layers: [l.linear('a', 'input', 10)] },
    { name: 'batch norms and a residual', input: [3, 5, 4, 16], layers: residual, factor: 8 },
  ] satisfies LayerCase[],
  convolutions: [
    {
      name: 'dense, strided, biased',
      input: [2, 7, 6, 8],
      layers: [l.conv2d('a', 'input', 16, { kernel: 3, padding: 1, stride: 2, bias: true })],
    },
    {
      name: 'grouped and dilated',
      input: [2, 6, 7, 16],
      layers: [l.conv2d('a', 'input', 24, { kernel: 3, padding: 2, dilation: 2, groups: 4, bias: true })],
    },
    { name: 'a channel a group', input: [1, 8, 7, 8], layers: [l.conv2d('a', 'input', 8, { kernel: 5, padding: 2, groups: 8 })] },
    { name: 'batch norms and a residual', input: [3, 5, 4, 16], layers: residual, factor: 8 },
  ] satisfies LayerCase[],
}

export const trainCases: Record<keyof typeof blockCases, TrainCase[]> = {
  pointwise: [training(classifier(1, 5), 3, 5)],
  convolutions: [training(classifier(3, 8), 8, 8)],
}
