import { at, map, type Tensor } from './tensor.js'

export function sigmoidForward(x: Tensor): Tensor {
  return map(x, (value) => 1 / (1 + Math.exp(-value)))
}

export function sigmoidBackward(dy: Tensor, x: Tensor): Tensor {
  return map(dy, (value, i) => {
    const y = 1 / (1 + Math.exp(-at(x.data, i)))
    return value * y * (1 - y)
  })
}
