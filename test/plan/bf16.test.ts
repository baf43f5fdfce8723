// Training in bfloat16: activations are stored rounded, so results are compared with what rounding the same tensors costs in float64.
import { bf16, roundToBf16 } from '../reference/bf16.js'
import { expect } from 'chai'
import { runNetwork } from '../reference/network.js'
import { norm } from '../support/compare.js'
import { drawCase, type LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { runBlock, supportedIsas } from '../support/run-layers.js'
import { skCase } from '../support/sk-cases.js'
import { bottleneckCases } from '../support/fragments.js'

/** Of outputs, in relative norm. */
const OUTPUT_LIMIT = 1e-2
/** Of gradients, against the error of the float64 reference that rounds what is stored. */
const GRADIENT_FACTOR = 1.5
/** Errors below this share of a gradient's norm are not compared: a handful of numbers can be lucky. */
const FLOOR = 4e-3

const cases: LayerCase[] = [
  ...bottleneckCases,
  skCase([4, 9, 8, 32], 32, l.dilatedBranches(2, 8), null),
  skCase([8, 7, 7, 64], 64, l.dilatedBranches(2, 4), 16),
  skCase([8, 8, 8, 32], 32, l.dilatedBranches(3, 8), 16, 2),
]

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return norm(Float64Array.from(a, (x, i) => x - b[i]!))
}

describe('bf16', () => {
  it('rounds to nearest, ties to even', () => {
    expect([1, 1.00390625, 1.01171875, -1.00390625, 3.4e38, 1e-40].map(bf16)).to.deep.equal([
      1,
      1,
      1.015625,
      -1,
      3.3961775292304601e38,
      bf16(1e-40),
    ])
  })

  for (const c of cases) {
    it(c.name, () => {
      const drawn = drawCase(c, 0)
      const rounded = runNetwork(c.layers, drawn.x, drawn.tensors, true, roundToBf16)
      const back = rounded.backward(drawn.gy)
      for (const isa of supportedIsas('bf16')) {
        const own = runBlock(c, drawn, { isa, precision: 'bf16' })
        const output = distance(own.y, drawn.run.output.data) / norm(drawn.run.output.data)
        expect(output, `${isa}: y`).to.be.below(OUTPUT_LIMIT)
        const check = (name: string, got: ArrayLike<number>, exact: Float64Array, reference: Float64Array): void => {
          const scale = Math.max(norm(exact), 1e-3 * norm(drawn.gy.data))
          const limit = Math.max(GRADIENT_FACTOR * distance(reference, exact), FLOOR * scale)
          expect(distance(got, exact) / scale, `${isa}: ${name}`).to.be.below(limit / scale)
        }
        check('dx', own.dx, drawn.dx.data, back.dx.data)
        for (const [name, g] of drawn.gradients) check(name, own.gradients.get(name)!, g.data, back.gradients.get(name)!.data)
      }
    })
  }
})
