import { at, map, shape4, zeros, type Tensor } from './tensor.js'

/** x [n, h, w, c], gate [n, 1, 1, c] -> x * gate */
export function channelScaleForward(x: Tensor, gate: Tensor): Tensor {
  const [, h, w, c] = shape4(x)
  return map(x, (value, i) => value * at(gate.data, Math.floor(i / (h * w * c)) * c + (i % c)))
}

export function channelScaleBackward(dy: Tensor, x: Tensor, gate: Tensor): { dx: Tensor; dgate: Tensor } {
  const [, h, w, c] = shape4(x)
  const dgate = zeros(gate.shape)
  for (let i = 0; i < x.data.length; i++) dgate.data[Math.floor(i / (h * w * c)) * c + (i % c)]! += at(dy.data, i) * at(x.data, i)
  return { dx: channelScaleForward(dy, gate), dgate }
}
