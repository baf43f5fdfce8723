import type { SkBranch } from '../../lib/model/spec.js'
import type { Shape4 } from '../reference/tensor.js'
import type { LayerCase } from './layer-case.js'
import * as l from './layers.js'

/**
 * One SK unit, x [n, h, w, c] -> out channels. Batch norm over the attention's few samples loses digits, so that errors are a few times
 * those of other ops; PyTorch's float32 has them alike (golden/README.md).
 */
export function skCase(input: Shape4, out: number, branches: SkBranch[], width: number | null, stride = 1, splitInput?: true): LayerCase {
  const parts = branches.map((b) => `${b.kernel}x${b.kernel} d${b.dilation} g${b.groups}`).join(' + ')
  const name = `${input.join('x')} -> ${out}, ${parts}, ${width === null ? 'plain sum' : `attention ${width}`}, stride ${stride}${splitInput ? ', split input' : ''}`
  const layers = [l.skUnit('unit', 'input', out, branches, width, stride, splitInput)]
  return width === null ? { name, input, layers } : { name, input, layers, factor: 40 }
}
