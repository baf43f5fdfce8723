// relu, sigmoid and add.
import type { LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { describeFiniteDifferences, describeLayers } from '../support/run-layers.js'
import type { Shape4 } from '../reference/tensor.js'

const shapes: Shape4[] = [
  [1, 1, 1, 1],
  [1, 7, 5, 3],
  [5, 1, 1, 33],
  [3, 9, 7, 16],
  [2, 33, 17, 7],
]

const relu = shapes.map((input): LayerCase => ({ name: `relu ${input.join('x')}`, input, layers: [l.relu('relu', 'input')] }))
const sigmoid = shapes.map((input): LayerCase => ({ name: `sigmoid ${input.join('x')}`, input, layers: [l.sigmoid('sigmoid', 'input')] }))
const add = shapes.map((input): LayerCase => ({
  name: `add ${input.join('x')}`,
  input,
  layers: [l.sigmoid('a', 'input'), l.relu('b', 'input'), l.add('add', 'a', 'b')],
}))
/** One tensor read by three layers: its gradients add up. */
const fan: LayerCase = {
  name: 'a tensor read three times',
  input: [2, 5, 3, 7],
  layers: [l.sigmoid('a', 'input'), l.relu('b', 'a'), l.add('ab', 'a', 'b'), l.add('aab', 'ab', 'a'), l.add('all', 'aab', 'input')],
}
/** Both terms of an addition are the same tensor. */
const twice: LayerCase = {
  name: 'add of a tensor to itself',
  input: [2, 3, 3, 5],
  layers: [l.sigmoid('a', 'input'), l.add('twice', 'a', 'a')],
}

describeLayers(
  'pointwise',
  ['relu_forward', 'relu_backward', 'sigmoid_forward', 'sigmoid_backward', 'add'],
  [...relu, ...sigmoid, ...add, fan, twice],
)
describeFiniteDifferences('pointwise', [relu[1]!, sigmoid[1]!, add[1]!, fan, twice])
