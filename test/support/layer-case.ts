import type { Layer } from '../../lib/model/spec.js'
import { networkShape, type LayerTensor } from '../reference/layer-tensors.js'
import { runNetwork, type NetworkRun } from '../reference/network.js'
import { tensor, type Shape4, type Tensor } from '../reference/tensor.js'
import { random, seedOf, type Random } from './random.js'

/** A few layers to be run forward and backward, native against reference. */
export interface LayerCase {
  name: string
  layers: Layer[]
  input: Shape4
  /** Of the tolerance, where a case is worse conditioned than most (compare.ts). */
  factor?: number
  /** Mean of the input's normal numbers; their standard deviation is 1. */
  mean?: number
}

/** Everything one run starts from, and the float64 results. All values are exact in float32. */
export interface DrawnCase {
  x: Tensor
  gy: Tensor
  infos: LayerTensor[]
  tensors: Map<string, Tensor>
  run: NetworkRun
  dx: Tensor
  gradients: Map<string, Tensor>
}

/** Values as a trained network has them: He-scaled weights, BN scales around 1, positive variances. */
export function drawTensor(info: LayerTensor, r: Random): Tensor {
  const size = info.shape.reduce((product, n) => product * n, 1)
  if (info.name.endsWith('.running_var')) {
    return tensor(
      info.shape,
      Float32Array.from({ length: size }, () => 0.75 + 0.5 * r.uniform()),
    )
  }
  if (info.shape.length > 1) return tensor(info.shape, r.normals(size, Math.sqrt(2 / info.shape.slice(1).reduce((a, b) => a * b, 1))))
  return tensor(info.shape, r.normals(size, 0.2, info.name.endsWith('.weight') ? 1 : 0))
}

/**
 * Draws input, output gradient and tensors from the case's name. A number that lies on a ReLU's kink up to rounding would make the two
 * sides differ by a whole gradient element without either being wrong, so the draw is repeated until the reference stays `margin` away.
 */
export function drawCase(c: LayerCase, margin = 1e-5): DrawnCase {
  const { output, tensors: infos } = networkShape(c.layers, c.input)
  for (let attempt = 0; attempt < 50; attempt++) {
    const r = random(seedOf(c.name) + attempt)
    const tensors = new Map(infos.map((info) => [info.name, drawTensor(info, r)]))
    const x = tensor(
      c.input,
      r.normals(
        c.input.reduce((a, b) => a * b, 1),
        1,
        c.mean,
      ),
    )
    const gy = tensor(output, r.normals(output.reduce((a, b) => a * b, 1)))
    const run = runNetwork(c.layers, x, tensors, true)
    if (run.margin < margin) continue
    return { x, gy, infos, tensors, run, ...run.backward(gy) }
  }
  throw new Error(`${c.name}: no draw keeps ${margin} away from every kink; use a smaller shape`)
}

/** The number whose gradient `gy` is: <gy, f(x)>. */
export function objective(c: LayerCase, drawn: DrawnCase): number {
  return runNetwork(c.layers, drawn.x, drawn.tensors, true).output.data.reduce((sum, y, i) => sum + y * drawn.gy.data[i]!, 0)
}
