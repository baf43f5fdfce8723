import type { SkUnitLayer } from '../../lib/model/spec.js'
import { addForward } from './add.js'
import { get, runBatchNorm, type LayerRun, type Tensors } from './layer-run.js'
import { reluBackward, reluForward, reluMargin } from './relu.js'
import { runAttention } from './sk_attention.js'
import { skFuseBackward, skFuseForward } from './sk_fuse.js'
import { branchSoftmax, skSelectBackward, skSelectForward } from './sk_select.js'
import { skSplitBackward, skSplitForward, splitShares } from './sk_split.js'
import type { Store } from './network.js'
import { accumulate, shape4, type Tensor } from './tensor.js'

/** Split, fuse, select (paper section 3.1), or the plain sum of the branches where `attention` is null. */
export function runSkUnit(layer: SkUnitLayer, x: Tensor, tensors: Tensors, training: boolean, store: Store): LayerRun {
  const count = layer.branches.length
  const weights = layer.branches.map((_, m) => store(get(tensors, `${layer.name}.paths.${m}.conv.weight`)))
  const shares = layer.splitInput === true ? splitShares(x, count) : weights.map(() => x)
  const u = skSplitForward(shares, weights, layer.branches, layer.stride).map(store)
  const norms = u.map((um, m) => runBatchNorm(`${layer.name}.paths.${m}.bn`, um, tensors, layer.eps, layer.momentum, training))
  const active = norms.map((bn) => reluForward(bn.y))
  const attention = layer.attention && runAttention(layer, skFuseForward(active), tensors, training)
  const attentionWeights = attention && branchSoftmax(attention.y, count)
  return {
    y: attentionWeights ? skSelectForward(active, attentionWeights) : active.reduce(addForward),
    statistics: new Map([...norms, ...(attention ? [attention] : [])].flatMap((run) => [...run.statistics])),
    margin: Math.min(...norms.map((bn) => reluMargin(bn.y)), attention?.margin ?? Infinity),
    backward: (dy) => {
      const gradients = new Map<string, Tensor>()
      let dActive = active.map(() => dy)
      if (attention && attentionWeights) {
        const { du, dlogits } = skSelectBackward(dy, active, attentionWeights)
        const bySmallPart = attention.backward(dlogits)
        for (const [name, g] of bySmallPart.gradients) gradients.set(name, g)
        const common = skFuseBackward(bySmallPart.dx[0]!, shape4(dy))
        for (const d of du) accumulate(d.data, common.data)
        dActive = du
      }
      const du = norms.map((bn, m) => {
        const byNorm = bn.backward(reluBackward(dActive[m]!, bn.y))
        for (const [name, g] of byNorm.gradients) gradients.set(name, g)
        return store(byNorm.dx[0]!)
      })
      const { dx, dw } = skSplitBackward(du, x, shares, weights, layer.branches, layer.stride)
      dw.forEach((g, m) => gradients.set(`${layer.name}.paths.${m}.conv.weight`, g))
      return { dx: [dx], gradients }
    },
  }
}
