import type { LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'

type Geometry = Partial<{ k: number; s: number; p: number; d: number; g: number; bias: boolean }>

/** x [n, h, w, c] -> out channels. */
function conv(
  n: number,
  h: number,
  w: number,
  c: number,
  out: number,
  { k = 1, s = 1, p = 0, d = 1, g = 1, bias = false }: Geometry = {},
): LayerCase {
  const name = `${n}x${h}x${w}x${c} -> ${out}, kernel ${k}, stride ${s}, padding ${p}, dilation ${d}, groups ${g}${bias ? ', bias' : ''}`
  return {
    name,
    input: [n, h, w, c],
    layers: [l.conv2d('conv', 'input', out, { kernel: k, stride: s, padding: p, dilation: d, groups: g, bias })],
  }
}

const pointwise = [
  conv(1, 1, 1, 1, 1),
  conv(1, 7, 7, 7, 33),
  conv(5, 5, 3, 33, 7, { bias: true }),
  conv(2, 8, 8, 16, 32),
  conv(3, 4, 4, 65, 130),
  conv(19, 4, 4, 17, 40),
  conv(2, 7, 9, 17, 5, { s: 2 }),
  conv(2, 8, 6, 64, 32, { s: 2 }),
  conv(4, 3, 3, 12, 8, { g: 4 }),
  conv(1, 3, 3, 4, 4, { p: 1 }),
]

const dense = [
  conv(2, 9, 7, 8, 16, { k: 3, p: 1 }),
  conv(1, 7, 7, 33, 7, { k: 3, p: 1, bias: true }),
  conv(3, 5, 5, 16, 16, { k: 3 }),
  // Several images of one pixel.
  conv(3, 4, 4, 12, 10, { k: 4, bias: true }),
  conv(5, 1, 1, 12, 20, { k: 3, p: 1 }),
  conv(3, 3, 2, 33, 7, { k: 3, s: 2, p: 1 }),
  conv(2, 8, 8, 12, 24, { k: 3, s: 2, p: 1 }),
  conv(2, 9, 7, 12, 24, { k: 3, s: 2, p: 1 }),
  conv(1, 33, 5, 6, 10, { k: 3, p: 2, d: 2 }),
  conv(1, 9, 11, 5, 6, { k: 3, p: 3, d: 3 }),
  conv(1, 11, 10, 5, 6, { k: 3, p: 3, d: 4, s: 2 }),
  conv(2, 8, 8, 3, 32, { k: 3, p: 1 }),
  conv(2, 17, 18, 3, 64, { k: 7, s: 2, p: 3 }),
  conv(1, 1, 1, 3, 8, { k: 7, s: 2, p: 3 }),
  conv(2, 7, 6, 5, 9, { k: 5, p: 2 }),
  conv(2, 8, 7, 4, 3, { k: 5, s: 2, p: 1, bias: true }),
]

/** Channels a group: one lane, parts of a vector, vectors, and what divides none. */
const grouped = (
  [
    [1, 33],
    [2, 32],
    [3, 7],
    [4, 32],
    [6, 3],
    [8, 4],
    [16, 3],
    [32, 2],
    [64, 2],
  ] as const
).flatMap(([width, groups]) => [
  conv(2, 7, 5, width * groups, width * groups, { k: 3, p: 1, g: groups }),
  conv(1, 8, 9, width * groups, width * groups, { k: 3, s: 2, p: 1, g: groups }),
  conv(3, 6, 5, width * groups, width * groups, { k: 3, p: 2, d: 2, g: groups }),
])

const unusual = [
  conv(3, 7, 7, 32, 32, { k: 3, p: 1, g: 2 }),
  conv(1, 4, 14, 32, 32, { k: 3, p: 2, d: 2, g: 2 }),
  conv(2, 5, 8, 64, 64, { k: 3, p: 1, g: 2 }),
  conv(1, 9, 9, 32, 32, { k: 3, p: 3, d: 3, g: 8 }),
  conv(1, 9, 12, 32, 32, { k: 3, p: 4, d: 4, g: 8, s: 2 }),
  conv(2, 7, 7, 16, 16, { k: 5, p: 2, g: 4, bias: true }),
  conv(2, 8, 7, 16, 16, { k: 7, p: 3, g: 4, s: 2 }),
  conv(2, 7, 8, 19, 19, { k: 5, p: 2, g: 19 }),
  conv(1, 13, 7, 6, 6, { k: 5, p: 4, d: 2, g: 6 }),
  conv(4, 6, 6, 8, 16, { k: 3, p: 1, g: 8 }),
  conv(2, 6, 7, 16, 8, { k: 3, p: 1, g: 4 }),
  conv(2, 7, 6, 6, 18, { k: 3, p: 1, g: 3, bias: true }),
  conv(5, 3, 3, 16, 16, { k: 3, g: 4 }),
  conv(1, 7, 33, 8, 8, { k: 3, p: 1, g: 2 }),
  conv(2, 6, 6, 8, 8, { k: 3, p: 3, g: 2 }),
  conv(3, 5, 7, 12, 12, { k: 3, s: 3, p: 1, g: 3 }),
]

describeLayers(
  'conv2d',
  ['conv2d_forward', 'conv2d_backward_data', 'conv2d_backward_weight'],
  [...pointwise, ...dense, ...grouped, ...unusual],
)
describeFiniteDifferences('conv2d', [
  conv(3, 5, 3, 7, 5, { bias: true }),
  conv(2, 7, 5, 3, 4, { k: 3, s: 2, p: 1 }),
  conv(1, 7, 7, 6, 6, { k: 3, p: 2, d: 2, g: 3 }),
  conv(2, 5, 7, 7, 7, { k: 3, p: 1, g: 7, bias: true }),
  conv(1, 9, 7, 3, 5, { k: 7, s: 2, p: 3 }),
  conv(1, 6, 7, 4, 8, { k: 5, p: 2, g: 2 }),
])
