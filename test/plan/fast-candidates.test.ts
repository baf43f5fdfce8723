// Which implementation the named networks run on: plain loops are for shapes that no
// network has, but for the ones named here.
import { expect } from 'chai'
import { native } from '../../lib/native.js'
import { createModel, listModels } from '../../lib/model/registry.js'

/** Ungrouped branches are matrix products, one after the other. */
const composed = /^skresnet/
/** Groups of 128 and more channels: wider than "planes" takes, and "gemm" takes no groups. */
const wideGroups = /^(resnext|senet)29/

describe('candidates of the named networks', () => {
  for (const name of listModels()) {
    it(name, () => {
      const { layers, input } = createModel(name).spec
      const size = Math.min(input.size, 64)
      const probe = { layers, input: { height: size, width: size, channels: 3 }, shardSize: 2, shards: 1, threads: 1 }
      const infer = new (native().Plan)({ ...probe, mode: 'infer' })
      const parameters = infer.tensors().filter(({ kind }) => kind === 'param').length
      const optimizer = { momentum: 0, nesterov: false, gradClip: 0, emaDecay: 0, weightDecay: new Float64Array(parameters) }
      const train = new (native().Plan)({ ...probe, mode: 'train', optimizer })
      try {
        for (const plan of [infer, train]) {
          const slow = plan.steps().filter(({ candidate }) => {
            return (candidate === 'direct' && !wideGroups.test(name)) || (candidate === 'composed' && !composed.test(name))
          })
          expect(slow.map(({ op, layer, candidate }) => `${op} of ${layer}: ${candidate}`)).to.deep.equal([])
        }
      } finally {
        infer.dispose()
        train.dispose()
      }
    })
  }
})
