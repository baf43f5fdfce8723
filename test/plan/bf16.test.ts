// Training in bfloat16: activations are stored rounded, so results are compared with what rounding the same tensors costs in float64.
import type { Isa } from '../../binding.js'
import { bf16, roundToBf16 } from '../reference/bf16.js'
import { expect } from 'chai'
import { runNetwork } from '../reference/network.js'
import { norm } from '../support/compare.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { drawCase, type LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { runBlock, supportedIsas } from '../support/run-layers.js'
import { skCase } from '../support/sk-cases.js'
import { bottleneckCases } from '../support/fragments.js'

/** Of outputs, in relative norm. */
const OUTPUT_LIMIT = 1e-2
/**
 * Of gradients, against the error of the float64 reference that rounds what is stored. A gate that rounding flips weighs so much in
 * networks as small as these that single tensors are luck: errors are pooled over all tensors and several draws.
 */
const GRADIENT_FACTOR = 1.5
const DRAWS = 6

const cases: LayerCase[] = [
  // More images than in fp32, so that one flipped gate weighs less.
  ...bottleneckCases.map((c): LayerCase => ({ ...c, input: [12, c.input[1], c.input[2], c.input[3]] })),
  skCase([4, 9, 8, 32], 32, l.dilatedBranches(2, 8), null),
  skCase([8, 7, 7, 64], 64, l.dilatedBranches(2, 4), 16),
  skCase([9, 7, 7, 64], 64, l.dilatedBranches(2, 2), 16),
  skCase([8, 8, 8, 32], 32, l.dilatedBranches(3, 8), 16, 2),
  // Enough channels for so few images that AMX takes weight gradients over all of them at once, in several pieces; an odd number of blocks.
  { name: '1x1 on 240 channels', input: [2, 14, 14, 240], layers: [l.conv2d('a', 'input', 240), l.batchNorm('n', 'a')] },
  // Rows longer than a tile of AMX, groups of 8, 16 and 64 channels.
  skCase([3, 17, 19, 32], 32, l.dilatedBranches(2, 4), 16),
  skCase([4, 18, 17, 32], 32, l.dilatedBranches(2, 2), 16, 2),
  skCase([4, 5, 6, 128], 128, l.dilatedBranches(2, 2), 16),
]

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return norm(Float64Array.from(a, (x, i) => x - b[i]!))
}

describe('bf16', () => {
  it('rounds to nearest, ties to even', () => {
    expect([1, 1.00390625, 1.01171875, -1.00390625].map(bf16)).to.deep.equal([1, 1, 1.015625, -1])
  })

  for (const c of cases) {
    it(c.name, () => {
      const pooled = new Map<string, { own: number; reference: number }>()
      for (let draw = 0; draw < DRAWS; draw++) {
        const drawn = drawCase({ ...c, name: `${c.name}, draw ${draw}` }, 0)
        const rounded = runNetwork(c.layers, drawn.x, drawn.tensors, true, roundToBf16)
        const back = rounded.backward(drawn.gy)
        for (const where of [...supportedIsas('bf16'), ...(hasEmulatedDevice() ? [emulated] : [])]) {
          const own = runBlock(c, drawn, { ...(where === emulated ? { device: where } : { isa: where as Isa }), precision: 'bf16' })
          const output = distance(own.y, drawn.run.output.data) / norm(drawn.run.output.data)
          expect(output, `${where}: y, draw ${draw}`).to.be.below(OUTPUT_LIMIT)
          const sum = pooled.get(where) ?? { own: 0, reference: 0 }
          pooled.set(where, sum)
          const add = (got: ArrayLike<number>, exact: Float64Array, reference: Float64Array): void => {
            const scale = Math.max(norm(exact), 1e-3 * norm(drawn.gy.data))
            sum.own += (distance(got, exact) / scale) ** 2
            sum.reference += (distance(reference, exact) / scale) ** 2
          }
          add(own.dx, drawn.dx.data, back.dx.data)
          for (const [name, g] of drawn.gradients) add(own.gradients.get(name)!, g.data, back.gradients.get(name)!.data)
        }
      }
      for (const [where, { own, reference }] of pooled) {
        expect(Math.sqrt(own / reference), `${where}: gradients' error over the reference's`).to.be.below(GRADIENT_FACTOR)
      }
    })
  }
})
