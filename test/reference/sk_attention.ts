import type { SkUnitLayer } from '../../lib/model/spec.js'
import { get, runBatchNorm, type LayerRun, type Tensors } from './layer-run.js'
import { linearBackward, linearForward } from './linear.js'
import { reluBackward, reluForward, reluMargin } from './relu.js'
import type { Tensor } from './tensor.js'

/** z = ReLU(BN(W_reduce s)), logits = W_select z; the unit's small part. */
export function runAttention(layer: SkUnitLayer, s: Tensor, tensors: Tensors, training: boolean): LayerRun {
  const name = `${layer.name}.attn`
  const reduce = get(tensors, `${name}.fc_reduce.weight`)
  const select = get(tensors, `${name}.fc_select.weight`)
  const bn = runBatchNorm(`${name}.bn`, linearForward(s, reduce, null), tensors, layer.eps, layer.momentum, training)
  const z = reluForward(bn.y)
  return {
    y: linearForward(z, select, null),
    statistics: bn.statistics,
    margin: reluMargin(bn.y),
    backward: (dy) => {
      const bySelect = linearBackward(dy, z, select)
      const byNorm = bn.backward(reluBackward(bySelect.dx, bn.y))
      const byReduce = linearBackward(byNorm.dx[0]!, s, reduce)
      return {
        dx: [byReduce.dx],
        gradients: new Map([...byNorm.gradients, [`${name}.fc_reduce.weight`, byReduce.dw], [`${name}.fc_select.weight`, bySelect.dw]]),
      }
    },
  }
}
