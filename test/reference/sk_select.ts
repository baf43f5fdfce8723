import { at, shape4, zeros, type Tensor } from './tensor.js'

/** logits [n, 1, 1, M * c], branch-major -> weights [n, 1, 1, M * c] that sum to 1 over the branches of each channel. */
export function branchSoftmax(logits: Tensor, branches: number): Tensor {
  const [n, , , width] = shape4(logits)
  const c = width / branches
  const weights = zeros(logits.shape)
  for (let b = 0; b < n; b++) {
    for (let k = 0; k < c; k++) {
      const values = Array.from({ length: branches }, (_, m) => at(logits.data, b * width + m * c + k))
      const largest = Math.max(...values)
      const sum = values.reduce((total, value) => total + Math.exp(value - largest), 0)
      values.forEach((value, m) => (weights.data[b * width + m * c + k] = Math.exp(value - largest) / sum))
    }
  }
  return weights
}

/** V = sum_m a_m U_m; U_m [n, h, w, c], weights as from branchSoftmax. */
export function skSelectForward(branches: readonly Tensor[], weights: Tensor): Tensor {
  const first = branches[0]!
  const [n, h, w, c] = shape4(first)
  const v = zeros(first.shape)
  for (let b = 0; b < n; b++) {
    branches.forEach((u, m) => {
      for (let i = b * h * w * c; i < (b + 1) * h * w * c; i++) {
        v.data[i]! += at(weights.data, (b * branches.length + m) * c + (i % c)) * at(u.data, i)
      }
    })
  }
  return v
}

export function skSelectBackward(dv: Tensor, branches: readonly Tensor[], weights: Tensor): { du: Tensor[]; dlogits: Tensor } {
  const [n, h, w, c] = shape4(dv)
  const count = branches.length
  const dweights = zeros(weights.shape)
  const du = branches.map((u, m) => {
    const d = zeros(u.shape)
    for (let i = 0; i < u.data.length; i++) {
      const a = (Math.floor(i / (h * w * c)) * count + m) * c + (i % c)
      d.data[i] = at(weights.data, a) * at(dv.data, i)
      dweights.data[a]! += at(u.data, i) * at(dv.data, i)
    }
    return d
  })
  const dlogits = zeros(weights.shape)
  for (let b = 0; b < n; b++) {
    for (let k = 0; k < c; k++) {
      let mean = 0
      for (let m = 0; m < count; m++) mean += at(weights.data, (b * count + m) * c + k) * at(dweights.data, (b * count + m) * c + k)
      for (let m = 0; m < count; m++) {
        const i = (b * count + m) * c + k
        dlogits.data[i] = at(weights.data, i) * (at(dweights.data, i) - mean)
      }
    }
  }
  return { du, dlogits }
}
