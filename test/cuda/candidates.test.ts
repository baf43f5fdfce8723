/** conv2d's candidates on CUDA, each forced by name within a plan on the emulated device, against the float64 reference. */
import { expect } from 'chai'
import { hasEmulatedDevice } from '../support/devices.js'
import { drawCase, type LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { compareBlock, runBlock } from '../support/run-layers.js'

const device = 'cuda-emulated'

function conv(input: [number, number, number, number], out: number, options: Partial<Parameters<typeof l.conv2d>[3]>): LayerCase {
  return { name: `${input.join('x')} -> ${out}, ${JSON.stringify(options)}`, input, layers: [l.conv2d('conv', 'input', out, options)] }
}

const cases: { c: LayerCase; accepted: string[] }[] = [
  { c: conv([3, 5, 4, 33], 70, { kernel: 1, bias: true }), accepted: ['gemm', 'direct'] },
  { c: conv([2, 7, 9, 17], 5, { kernel: 1, stride: 2 }), accepted: ['gemm', 'direct'] },
  { c: conv([2, 9, 7, 12], 24, { kernel: 3, stride: 2, padding: 1 }), accepted: ['gemm', 'direct'] },
  { c: conv([2, 17, 18, 3], 64, { kernel: 7, stride: 2, padding: 3 }), accepted: ['gemm', 'direct'] },
  { c: conv([2, 7, 9, 32], 32, { kernel: 3, padding: 2, dilation: 2, groups: 8, bias: true }), accepted: ['grouped', 'direct'] },
  { c: conv([1, 8, 9, 20], 20, { kernel: 3, stride: 2, padding: 1, groups: 20 }), accepted: ['grouped', 'direct'] },
  { c: conv([2, 6, 7, 16], 8, { kernel: 3, padding: 1, groups: 4 }), accepted: ['direct'] },
]

describe('candidates of conv2d on cuda-emulated', function () {
  if (!hasEmulatedDevice()) {
    it('the emulated device is not built')
    return
  }
  const ops = ['conv2d_forward', 'conv2d_backward_data', 'conv2d_backward_weight']

  for (const { c, accepted } of cases) {
    for (const name of ['grouped', 'gemm', 'direct']) {
      it(`${name}: ${c.name}`, () => {
        const drawn = drawCase(c)
        const run = () => runBlock(c, drawn, { device, candidates: Object.fromEntries(ops.map((op) => [op, name])) })
        if (!accepted.includes(name)) {
          expect(run).to.throw(Error, 'no candidate accepts').with.property('code', 'ERR_SKNET_OPTION')
          return
        }
        const result = run()
        compareBlock(name, c, drawn, result)
        const chosen = result.steps.filter((step) => ops.includes(step.op)).map((step) => step.candidate)
        expect(new Set(chosen)).to.deep.equal(new Set([name]))
      })
    }
    it(`the first that accepts: ${c.name}`, () => {
      const drawn = drawCase(c)
      const { steps } = runBlock(c, drawn, { device })
      expect(steps.find((step) => step.op === 'conv2d_forward')?.candidate).to.equal(accepted[0])
    })
  }
})
