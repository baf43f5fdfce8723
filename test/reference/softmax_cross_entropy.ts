import { at, shape4, zeros, type Tensor } from './tensor.js'

export interface CrossEntropyResult {
  /** Sum over the images of their losses; an image labelled -1 has none. */
  lossSum: number
  /** Of lossSum * scale. */
  dlogits: Tensor
  /** Images whose largest logit is their label. */
  correct: number
}

/** Of each image, a second label and the first one's share of the target. */
export interface MixedLabels {
  labels2: ArrayLike<number>
  mix: ArrayLike<number>
}

/** logits [n, 1, 1, K]. Target: (1 - smoothing) on the label, or shared by two, plus smoothing / K on every class (DESIGN 3). */
export function softmaxCrossEntropy(
  logits: Tensor,
  labels: ArrayLike<number>,
  smoothing: number,
  scale: number,
  mixed?: MixedLabels,
): CrossEntropyResult {
  const [n, , , classes] = shape4(logits)
  const dlogits = zeros(logits.shape)
  let lossSum = 0
  let correct = 0
  for (let b = 0; b < n; b++) {
    const label = at(labels, b)
    if (label === -1) continue
    const row = Array.from(logits.data.subarray(b * classes, (b + 1) * classes))
    const largest = Math.max(...row)
    const logSum = largest + Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0))
    if (row.indexOf(largest) === label) correct++
    row.forEach((value, k) => {
      const share = mixed === undefined ? 1 : at(mixed.mix, b)
      const other = mixed !== undefined && k === at(mixed.labels2, b) ? 1 - share : 0
      const target = smoothing / classes + (1 - smoothing) * ((k === label ? share : 0) + other)
      lossSum += target * (logSum - value)
      dlogits.data[b * classes + k] = (Math.exp(value - logSum) - target) * scale
    })
  }
  return { lossSum, dlogits, correct }
}
