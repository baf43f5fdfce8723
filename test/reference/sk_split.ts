import { conv2dBackwardData, conv2dBackwardWeight, conv2dForward, type Conv2dGeometry } from './conv2d.js'
import { accumulate, shape4, zeros, type Tensor } from './tensor.js'

export interface Branch {
  kernel: number
  dilation: number
  groups: number
}

function geometry(branch: Branch, stride: number): Conv2dGeometry {
  return { ...branch, stride, padding: (branch.dilation * (branch.kernel - 1)) / 2 }
}

/** M convolutions of one input: x [n, h, w, c], weights OIHW -> u_m [n, oh, ow, out] */
export function skSplitForward(x: Tensor, weights: readonly Tensor[], branches: readonly Branch[], stride: number): Tensor[] {
  return branches.map((branch, m) => conv2dForward(x, weights[m]!, null, geometry(branch, stride)))
}

export function skSplitBackward(
  du: readonly Tensor[],
  x: Tensor,
  weights: readonly Tensor[],
  branches: readonly Branch[],
  stride: number,
): { dx: Tensor; dw: Tensor[] } {
  const dx = zeros(x.shape)
  const dw = branches.map((branch, m) => {
    accumulate(dx.data, conv2dBackwardData(du[m]!, weights[m]!, shape4(x), geometry(branch, stride)).data)
    return conv2dBackwardWeight(du[m]!, x, shape4(weights[m]!), geometry(branch, stride))
  })
  return { dx, dw }
}
