import { channelGatherForward, channelOrder } from './channel_gather.js'
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

/** Channels of x in `count` equal shares. */
export function splitShares(x: Tensor, count: number): Tensor[] {
  const c = shape4(x)[3] / count
  return Array.from({ length: count }, (_, m) => {
    const slice = { op: 'channel_slice', name: '', inputs: [''], first: m * c, out: c } as const
    return channelGatherForward([x], channelOrder({ ...slice, inputs: [''] }, [x]))
  })
}

/** Convolution m of inputs[m] [n, h, w, c], weights OIHW -> u_m [n, oh, ow, out] */
export function skSplitForward(
  inputs: readonly Tensor[],
  weights: readonly Tensor[],
  branches: readonly Branch[],
  stride: number,
): Tensor[] {
  return branches.map((branch, m) => conv2dForward(inputs[m]!, weights[m]!, null, geometry(branch, stride)))
}

/** `inputs`: x for every branch, or its shares. */
export function skSplitBackward(
  du: readonly Tensor[],
  x: Tensor,
  inputs: readonly Tensor[],
  weights: readonly Tensor[],
  branches: readonly Branch[],
  stride: number,
): { dx: Tensor; dw: Tensor[] } {
  const dxs = branches.map((branch, m) => conv2dBackwardData(du[m]!, weights[m]!, shape4(inputs[m]!), geometry(branch, stride)))
  const dw = branches.map((branch, m) => conv2dBackwardWeight(du[m]!, inputs[m]!, shape4(weights[m]!), geometry(branch, stride)))
  if (inputs.some((input) => shape4(input)[3] !== shape4(x)[3])) {
    return { dx: channelGatherForward(dxs, channelOrder({ op: 'concat', name: '', inputs: [] }, dxs)), dw }
  }
  const dx = zeros(x.shape)
  for (const d of dxs) accumulate(dx.data, d.data)
  return { dx, dw }
}
