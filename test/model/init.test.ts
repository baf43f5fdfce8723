import { expect } from 'chai'
import { createModel, sknet50 } from '../../lib/model/registry.js'

function moments(data: Float32Array): { mean: number; std: number } {
  const mean = data.reduce((a, b) => a + b, 0) / data.length
  return { mean, std: Math.sqrt(data.reduce((a, b) => a + (b - mean) ** 2, 0) / data.length) }
}

describe('fresh weights', () => {
  it('follow FACTS 1.1: He over the fan-in, 0.01 for the attention and the classifier, plain norms', () => {
    const weights = sknet50({ seed: 3 }).weights()
    const std: [string, number][] = [
      ['conv1.weight', Math.sqrt(2 / (3 * 49))],
      ['layer1.0.conv1.conv.weight', Math.sqrt(2 / 64)],
      ['layer1.0.conv2.paths.1.conv.weight', Math.sqrt(2 / (4 * 9))],
      ['layer4.2.conv3.conv.weight', Math.sqrt(2 / 1024)],
      ['layer4.0.downsample.0.weight', Math.sqrt(2 / 1024)],
      ['layer3.1.conv2.attn.fc_reduce.weight', 0.01],
      ['layer3.1.conv2.attn.fc_select.weight', 0.01],
      ['fc.weight', 0.01],
    ]
    for (const [name, expected] of std) {
      const data = weights.get(name)!
      const found = moments(data)
      // Five standard errors of mean and deviation of a normal sample.
      expect(Math.abs(found.mean), name).to.be.below((5 * expected) / Math.sqrt(data.length))
      expect(Math.abs(found.std - expected), name).to.be.below((5 * expected) / Math.sqrt(2 * data.length))
    }
    for (const [name, data] of weights) {
      const value =
        name.endsWith('.bias') || name.endsWith('.running_mean') ? 0 : name.endsWith('.running_var') || data.length < 100 ? 1 : null
      if (value !== null && !name.includes('attn.fc'))
        expect(
          data.every((v) => v === value),
          name,
        ).to.equal(true)
    }
  })

  it('treat SE as convolutions', () => {
    const weights = createModel('seresnext50_32x4d', { blocks: [1, 1, 1, 1] }).weights()
    expect(moments(weights.get('layer4.0.se.fc1.weight')!).std).to.be.closeTo(Math.sqrt(2 / 2048), 0.001)
    expect(weights.get('layer4.0.se.fc1.bias')!.every((v) => v === 0)).to.equal(true)
  })

  it('depend on the seed and the name alone', () => {
    const [a, b, c] = [1, 1, 2].map((seed) => createModel('sknet_tiny_cifar', { seed }).weights())
    const same = (x: Float32Array | undefined, y: Float32Array | undefined) => Buffer.from(x!.buffer).equals(Buffer.from(y!.buffer))
    for (const [name, data] of a!) expect(same(data, b!.get(name)), name).to.equal(true)
    for (const name of ['conv1.weight', 'fc.weight']) expect(same(a!.get(name), c!.get(name)), name).to.equal(false)
    const wider = createModel('sknet_tiny_cifar', { seed: 1, branches: 3 }).weights()
    const path = (m: number) => `layer1.0.conv2.paths.${m}.conv.weight`
    expect(same(wider.get(path(1)), a!.get(path(1)))).to.equal(true)
    expect(same(a!.get(path(0)), a!.get(path(1)))).to.equal(false)
  })

  it('come in the order of the tensors, and are the model’s own', () => {
    const model = createModel('sknet_tiny_cifar')
    expect([...model.weights().keys()]).to.deep.equal(model.tensors().map(({ name }) => name))
    model.weights().get('fc.bias')![0] = 5
    expect(model.weights().get('fc.bias')![0]).to.equal(5)
  })
})
