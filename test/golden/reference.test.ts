// The float64 reference against PyTorch's float64 results: what the native ops are compared with must itself be right.
import { assertClose, norm } from '../support/compare.js'
import { fillInput, fillTensor } from '../support/fill.js'
import { goldenCases, goldenFile, readGolden, toNhwc, withoutPrefix } from '../support/golden.js'
import { runNetwork, updateRunningStatistics } from '../reference/network.js'
import { zeros } from '../reference/tensor.js'
import { trainStep } from '../reference/train.js'
import { blockLayers, tinySknet } from './networks.js'

/** Stored values were rounded to float32; PyTorch's float64 and ours differ by less. */
const limit = 2e-7

describe('reference against golden vectors', () => {
  for (const c of goldenCases('block')) {
    it(c.file, function () {
      const file = goldenFile(c.file)
      if (!file) return this.skip()
      const stored = readGolden(file)
      const { layers, prefix } = blockLayers(c)
      const tensors = withoutPrefix(stored, 'param.', prefix)
      const gy = toNhwc(stored.get('gy')!)
      const floor = 1e-3 * norm(gy.data)
      const x = toNhwc(stored.get('x')!)
      const run = runNetwork(layers, x, tensors, true)
      const { dx, gradients } = run.backward(gy)
      assertClose('y', run.output.data, toNhwc(stored.get('y')!).data, limit)
      assertClose('gx', dx.data, toNhwc(stored.get('gx')!).data, limit, floor)
      const expected = withoutPrefix(stored, 'grad.', prefix)
      for (const [name, g] of expected) assertClose(`grad ${name}`, gradients.get(name)!.data, g.data, limit, floor)
      updateRunningStatistics(tensors, [run.statistics])
      for (const [name, t] of withoutPrefix(stored, 'after.', prefix)) assertClose(`after ${name}`, tensors.get(name)!.data, t.data, limit)
      assertClose('y_eval', runNetwork(layers, x, tensors, false).output.data, toNhwc(stored.get('y_eval')!).data, limit)
    })
  }

  it('tiny_sknet_5steps', function () {
    const [c] = goldenCases('train')
    const file = goldenFile(c!.file)
    if (!c || !file) return this.skip()
    const stored = readGolden(file)
    const layers = tinySknet(c)
    const tensors = withoutPrefix(stored, 'param.')
    const momentum = new Map([...tensors].map(([name, t]) => [name, zeros(t.shape)]))
    const settings = {
      lr: c.lr,
      momentum: c.momentum,
      nesterov: false,
      weightDecay: () => c.weightDecay,
      gradClip: 0,
      emaDecay: 0,
      labelSmoothing: 0,
    }
    for (let s = 0; s < 5; s++) {
      const step = trainStep(layers, { tensors, momentum }, toNhwc(stored.get(`x${s}`)!), stored.get(`t${s}`)!.data, c.input[0], settings)
      assertClose(`loss of step ${s}`, [step.loss], [c.losses[s]!], 1e-10)
      if (s > 0) continue
      assertClose('logits0', step.logits[0]!.data, stored.get('logits0')!.data, limit)
      for (const [name, g] of withoutPrefix(stored, 'grad0.')) assertClose(`grad0 ${name}`, step.gradients.get(name)!.data, g.data, limit)
    }
    for (const [name, t] of withoutPrefix(stored, 'final.')) assertClose(`final ${name}`, tensors.get(name)!.data, t.data, limit)
  })
})

describe('fill rule', () => {
  it('gives the samples of index.json', () => {
    const [c] = goldenCases('fill')
    const [full] = goldenCases('full')
    assertClose('full.x', fillInput(c!.name, full!.input).subarray(0, 4), c!.first4, 0)
    assertClose('conv1.weight', fillTensor('conv1.weight', [64, 3, 7, 7]).subarray(0, 4), c!.conv1_first4, 0)
  })

  it('gives the tensors and inputs of the block cases', function () {
    for (const c of goldenCases('block')) {
      const file = goldenFile(c.file)
      if (!file) continue
      const stored = readGolden(file)
      const name = c.file.replace('.safetensors', '')
      for (const input of ['x', 'gy']) {
        assertClose(input, fillInput(`${name}.${input}`, stored.get(input)!.shape), stored.get(input)!.data, 0)
      }
      for (const [parameter, t] of withoutPrefix(stored, 'param.')) assertClose(parameter, fillTensor(parameter, t.shape), t.data, 0)
    }
  })
})
