import type { ChannelShuffleLayer, ChannelSliceLayer, ConcatLayer } from '../../lib/model/spec.js'
import { at, shape4, zeros, type Tensor } from './tensor.js'

/** For every channel of the output: the input it comes from, and its channel there. */
export type ChannelOrder = [input: number, channel: number][]

export function channelOrder(layer: ConcatLayer | ChannelSliceLayer | ChannelShuffleLayer, inputs: readonly Tensor[]): ChannelOrder {
  const all = inputs.flatMap((x, i) => Array.from({ length: shape4(x)[3] }, (_, k): [number, number] => [i, k]))
  if (layer.op === 'concat') return all
  if (layer.op === 'channel_slice') return all.slice(layer.first, layer.first + layer.out)
  const run = all.length / layer.groups
  return Array.from({ length: run }, (_, k) => Array.from({ length: layer.groups }, (_, g) => all[g * run + k]!)).flat()
}

export function channelGatherForward(inputs: readonly Tensor[], order: ChannelOrder): Tensor {
  const [n, h, w] = shape4(inputs[0]!)
  const y = zeros([n, h, w, order.length])
  for (let pixel = 0; pixel < n * h * w; pixel++) {
    order.forEach(([input, channel], k) => {
      const x = inputs[input]!
      y.data[pixel * order.length + k] = at(x.data, pixel * shape4(x)[3] + channel)
    })
  }
  return y
}

export function channelGatherBackward(dy: Tensor, inputs: readonly Tensor[], order: ChannelOrder): Tensor[] {
  const dx = inputs.map((x) => zeros(x.shape))
  const [n, h, w] = shape4(dy)
  for (let pixel = 0; pixel < n * h * w; pixel++) {
    order.forEach(([input, channel], k) => {
      dx[input]!.data[pixel * shape4(inputs[input]!)[3] + channel]! += at(dy.data, pixel * order.length + k)
    })
  }
  return dx
}
