// Fragments of networks: stems, bottlenecks and heads small enough to be checked against the reference.
import type { Layer } from '../../lib/model/spec.js'
import type { LayerCase } from './layer-case.js'
import * as l from './layers.js'

function convNormRelu(name: string, from: string, out: number, options: Parameters<typeof l.conv2d>[3] = {}): Layer[] {
  return [l.conv2d(name, from, out, options), l.batchNorm(`${name}.bn`, name), l.relu(`${name}.relu`, `${name}.bn`)]
}

/** A bottleneck around `middle`, which reads `NAME.a.relu` and ends in `NAME.b`. */
export function block(name: string, from: string, width: number, out: number, middle: Layer[], shortcut: Layer[] | null): Layer[] {
  return [
    ...convNormRelu(`${name}.a`, from, width),
    ...middle,
    l.conv2d(`${name}.c`, `${name}.b`, out),
    ...(shortcut ?? []),
    l.batchNorm(`${name}.c.bn`, `${name}.c`),
    l.add(`${name}.add`, `${name}.c.bn`, shortcut === null ? from : shortcut.at(-1)!.name),
    l.relu(name, `${name}.add`),
  ]
}

export const sk = (name: string, width: number, stride = 1) => [
  l.skUnit(`${name}.b`, `${name}.a.relu`, width, l.dilatedBranches(2, 4), null, stride),
]
const realKernels = (name: string, width: number) => [
  l.skUnit(
    `${name}.b`,
    `${name}.a.relu`,
    width,
    [
      { kernel: 3, dilation: 1, groups: width / 8 },
      { kernel: 5, dilation: 1, groups: width / 4 },
    ],
    null,
  ),
]
const grouped = (name: string, width: number, stride = 1) => [
  l.conv2d(`${name}.g`, `${name}.a.relu`, width, { kernel: 3, padding: 1, groups: 4, stride }),
  l.batchNorm(`${name}.g.bn`, `${name}.g`),
  l.relu(`${name}.b`, `${name}.g.bn`),
]
const shortcut = (name: string, from: string, out: number, stride: number) => [
  l.conv2d(`${name}.down`, from, out, { stride }),
  l.batchNorm(`${name}.down.bn`, `${name}.down`),
]

function fragment(name: string, input: LayerCase['input'], layers: Layer[]): LayerCase {
  return { name, input, layers, factor: 8 }
}

/** Fragments in which batch norms leave their work to their neighbours. */
export const bottleneckCases: LayerCase[] = [
  fragment('conv, norm, relu, conv', [3, 7, 5, 6], [...convNormRelu('a', 'input', 18), l.conv2d('b', 'a.relu', 7)]),
  fragment('conv, norm, conv without ReLU', [3, 7, 5, 6], [l.conv2d('a', 'input', 18), l.batchNorm('n', 'a'), l.conv2d('b', 'n', 7)]),
  fragment(
    'stem: 7x7 stride 2, norm, relu, max pool',
    [2, 15, 13, 3],
    [...convNormRelu('a', 'input', 9, { kernel: 7, stride: 2, padding: 3 }), l.maxPool('p', 'a.relu', 3, 2, 1), l.conv2d('b', 'p', 5)],
  ),
  fragment(
    'norm read by two convolutions',
    [3, 5, 6, 8],
    [
      ...convNormRelu('a', 'input', 12),
      l.conv2d('b', 'a.relu', 10),
      l.conv2d('c', 'a.relu', 10, { kernel: 3, padding: 1 }),
      l.add('d', 'b', 'c'),
    ],
  ),
  fragment(
    'norm read by a convolution and an addition',
    [3, 5, 6, 8],
    [...convNormRelu('a', 'input', 12), l.conv2d('b', 'a.relu', 12), l.add('d', 'b', 'a.relu')],
  ),
  fragment(
    'an SK bottleneck and one behind it',
    [3, 6, 5, 16],
    [...block('one', 'input', 8, 16, sk('one', 8), null), ...block('two', 'one', 8, 16, sk('two', 8), null)],
  ),
  fragment(
    'a strided SK bottleneck with a shortcut, and one behind it',
    [3, 8, 7, 12],
    [...block('one', 'input', 8, 20, sk('one', 8, 2), shortcut('one', 'input', 20, 2)), ...block('two', 'one', 8, 20, sk('two', 8), null)],
  ),
  fragment(
    'SK bottlenecks wide enough for whole tiles of a matrix product',
    [3, 8, 7, 72],
    [
      ...block('one', 'input', 64, 136, sk('one', 64, 2), shortcut('one', 'input', 136, 2)),
      ...block('two', 'one', 72, 136, sk('two', 72), null),
    ],
  ),
  fragment(
    'SK bottlenecks whose branches differ in groups',
    [3, 6, 5, 16],
    [...block('one', 'input', 16, 16, realKernels('one', 16), null), ...block('two', 'one', 16, 16, realKernels('two', 16), null)],
  ),
  fragment(
    'an SK unit whose branches share the input, and one behind it',
    [3, 6, 5, 16],
    [
      ...convNormRelu('a', 'input', 12),
      l.skUnit('b', 'a.relu', 16, l.dilatedBranches(2, 1), null, 2, true),
      l.skUnit('c', 'b', 8, l.dilatedBranches(2, 2), null, 1, true),
    ],
  ),
  fragment(
    'shuffle units, the second on what the first gives',
    [3, 6, 5, 24],
    ['one', 'two'].flatMap((name, i) => {
      const from = i === 0 ? 'input' : 'one'
      return [
        l.channelSlice(`${name}.kept`, from, 0, 12),
        l.channelSlice(`${name}.worked`, from, 12, 12),
        ...convNormRelu(`${name}.a`, `${name}.worked`, 12),
        ...convNormRelu(`${name}.b`, `${name}.a.relu`, 12, { kernel: 3, padding: 1, groups: 12 }),
        l.concat(`${name}.both`, `${name}.kept`, `${name}.b.relu`),
        l.channelShuffle(name, `${name}.both`, 2),
      ]
    }),
  ),
  fragment(
    'strided grouped bottlenecks',
    [2, 6, 5, 8],
    [
      ...block('one', 'input', 8, 12, grouped('one', 8, 2), shortcut('one', 'input', 12, 2)),
      ...block('two', 'one', 8, 12, grouped('two', 8), null),
    ],
  ),
  fragment(
    'head: norm, relu, global average, linear',
    [5, 4, 3, 6],
    [...convNormRelu('a', 'input', 18), l.globalAvgPool('g', 'a.relu'), l.linear('fc', 'g', 11)],
  ),
]
