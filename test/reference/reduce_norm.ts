/** 2-norm of several tensors taken as one vector. */
export function gradientNorm(gradients: Iterable<Float64Array>): number {
  let squares = 0
  for (const g of gradients) for (const value of g) squares += value * value
  return Math.sqrt(squares)
}
