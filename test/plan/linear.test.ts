import type { LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'

function linear(n: number, c: number, out: number, bias = true): LayerCase {
  return { name: `${n}x${c} -> ${out}${bias ? ', bias' : ''}`, input: [n, 1, 1, c], layers: [l.linear('fc', 'input', out, bias)] }
}

describeLayers(
  'linear',
  [],
  [
    linear(1, 1, 1),
    linear(1, 7, 33),
    linear(5, 33, 7, false),
    linear(7, 128, 10),
    linear(3, 65, 130),
    linear(33, 16, 100),
    linear(2, 515, 19, false),
  ],
)
describeFiniteDifferences('linear', [linear(3, 7, 5), linear(7, 5, 3, false)])
