// One network with every kind of layer: fused and plain execution, buffers that lie over one another, repeatability.
import { expect } from 'chai'
import { native } from '../../lib/native.js'
import { drawCase } from '../support/layer-case.js'
import { compareBlock, describeFiniteDifferences, describeLayers, runBlock, supportedIsas } from '../support/run-layers.js'
import { mixedNetwork } from '../support/tiny-networks.js'
import { drawTraining, hashOf, plainSettings, trainNative, type TrainCase } from '../support/train-case.js'

const network = { name: 'a network with every kind of layer', layers: mixedNetwork(7), input: [5, 9, 8, 3] as const, factor: 40 }

describeLayers('plan', [], [network])
describeFiniteDifferences('plan', [{ ...network, name: 'a small network with every kind of layer', input: [4, 6, 5, 3] }])

describe('plan', () => {
  it('gives the same result again from the same memory', () => {
    const drawn = drawCase(network)
    const plan = new (native().Plan)({
      layers: network.layers,
      input: { height: 9, width: 8, channels: 3 },
      mode: 'block',
      shardSize: 5,
      shards: 1,
      threads: 2,
    })
    for (const [name, t] of drawn.tensors) plan.write('value', name, Float32Array.from(t.data))
    const x = Float32Array.from(drawn.x.data)
    const gy = Float32Array.from(drawn.gy.data)
    const first = { y: plan.blockForward(x), dx: plan.blockBackward(gy), dw: plan.read('gradient', 'conv1.weight') }
    const noise = Float32Array.from(x, (value) => value * 100 + 7)
    plan.blockForward(noise)
    plan.blockBackward(Float32Array.from(gy, (value) => value * -50))
    const again = { y: plan.blockForward(x), dx: plan.blockBackward(gy), dw: plan.read('gradient', 'conv1.weight') }
    expect(again).to.deep.equal(first)
    plan.dispose()
  })

  it('trains to the same bits on 1, 2 and 4 threads', async () => {
    const c: TrainCase = {
      ...network,
      name: 'three steps',
      input: [9, 8, 3],
      classes: 7,
      shardSize: 5,
      shards: 2,
      settings: { ...plainSettings, emaDecay: 0.9 },
    }
    const drawn = drawTraining(c, 3)
    for (const precision of ['fp32', 'bf16'] as const) {
      for (const isa of supportedIsas(precision)) {
        const hashes = []
        for (const threads of [1, 2, 4]) hashes.push(hashOf(await trainNative(c, drawn, { isa, threads, precision })))
        expect(new Set(hashes).size, `${isa}, ${precision}`).to.equal(1)
      }
    }
  })

  it('copies its values into an inference plan', async () => {
    const drawn = drawCase(network)
    const options = { layers: network.layers, input: { height: 9, width: 8, channels: 3 }, shards: 1, threads: 1 }
    const block = new (native().Plan)({ ...options, mode: 'block', shardSize: 5 })
    for (const [name, t] of drawn.tensors) block.write('value', name, Float32Array.from(t.data))
    const infer = new (native().Plan)({ ...options, mode: 'infer', shardSize: 5 })
    infer.copyFrom(block, 'value')
    for (const { name } of block.tensors()) expect(infer.read('value', name)).to.deep.equal(block.read('value', name))
    const y = await infer.infer(Float32Array.from(drawn.x.data), 5)
    expect(y).to.have.length(5 * 7)
    block.dispose()
    infer.dispose()
  })

  it('is exact at what it prints: every step names the candidate that ran and why others did not', () => {
    const drawn = drawCase(network)
    for (const isa of supportedIsas()) {
      const { steps } = runBlock(network, drawn, { isa })
      expect(steps.length).to.be.greaterThan(network.layers.length)
      for (const step of steps) {
        expect(step.candidate, step.op).to.match(/^[a-z0-9_]+$/)
        expect(step.flops, step.op).to.be.at.least(0)
        for (const refusal of step.refused) expect(refusal.reason, `${step.op} ${refusal.candidate}`).to.be.a('string').that.is.not.empty
      }
    }
  })

  it('fuses, and gets the same result without', () => {
    const drawn = drawCase(network)
    const fused = runBlock(network, drawn, { fuse: true })
    const plain = runBlock(network, drawn, { fuse: false })
    expect(fused.steps.length).to.be.lessThan(plain.steps.length)
    compareBlock('fused', network, drawn, fused)
    compareBlock('plain', network, drawn, plain)
  })
})
