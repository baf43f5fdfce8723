/** Convolutions that make the output of the SK unit before them as they read it, in place of sk_select: where, and with the same numbers. */
import { expect } from 'chai'
import type { Precision } from '../../binding.js'
import type { Layer } from '../../lib/model/spec.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { drawCase, type LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { compareBlock, runBlock } from '../support/run-layers.js'

const width = 40
const unit = (branches: number, attended = true) => l.skUnit('u', 'input', width, l.dilatedBranches(branches, 4), attended ? 8 : null)

function fragment(...layers: Layer[]): LayerCase {
  return { name: '', input: [3, 5, 4, width], layers, factor: 8 }
}

/** Who reads branches: the candidates of both directions of convolution `a`; null: there is a sk_select_forward. */
function selectedBy(c: LayerCase, precision: Precision = 'fp32'): [forward: string, weight: string] | null {
  const { steps } = runBlock(c, drawCase(c), { device: emulated, precision })
  const candidate = (op: string) => steps.find((step) => step.op === op && step.layer === 'a')!.candidate
  if (steps.some(({ op }) => op === 'sk_select_forward')) return null
  return [candidate('conv2d_forward'), candidate('conv2d_backward_weight')]
}

describe('convolutions that read the branches of an SK unit on cuda-emulated', function () {
  if (!hasEmulatedDevice()) {
    it('the emulated device is not built')
    return
  }

  for (const branches of [1, 2, 3, 4]) {
    for (const attended of [true, false]) {
      it(`${branches} branches, ${attended ? 'with attention' : 'plain sum'}`, () => {
        const c = fragment(unit(branches, attended), l.conv2d('a', 'u', 24), l.batchNorm('n', 'a'))
        const drawn = drawCase(c)
        const result = runBlock(c, drawn, { device: emulated })
        compareBlock('fused', c, drawn, result)
        expect(selectedBy(c)).to.deep.equal(['gemm', 'gemm'])
      })
    }
  }

  it('strided, with a bias', () => {
    const c = fragment(unit(2), l.conv2d('a', 'u', 24, { stride: 2, bias: true }))
    compareBlock('strided', c, drawCase(c), runBlock(c, drawCase(c), { device: emulated }))
    expect(selectedBy(c)).to.deep.equal(['gemm', 'gemm'])
  })

  it('not where it would be made for each tap, for many tiles, by groups, or for several readers', () => {
    for (const layers of [
      [l.conv2d('a', 'u', 24, { kernel: 3, padding: 1 })],
      [l.conv2d('a', 'u', 520)],
      [l.conv2d('a', 'u', 40, { groups: 5 })],
      [l.conv2d('a', 'u', 24), l.conv2d('b', 'u', 24), l.add('c', 'a', 'b')],
      [l.conv2d('a', 'u', 40), l.add('c', 'a', 'u')],
    ]) {
      expect(selectedBy(fragment(unit(2), ...layers)), JSON.stringify(layers)).to.equal(null)
    }
  })

  it('not where the candidate that is first for the plain convolution cannot, if nothing is timed', () => {
    expect(selectedBy(fragment(unit(2), l.conv2d('a', 'u', 24)), 'bf16')).to.deep.equal(['warpgroup', 'warpgroup'])
    expect(selectedBy(fragment(unit(3), l.conv2d('a', 'u', 24)), 'bf16')).to.equal(null)
  })
})
