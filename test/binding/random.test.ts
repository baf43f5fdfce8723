/** randomNormal: Philox and Box-Muller against a reference of the same definition, and the shape of the distribution. */
import { expect } from 'chai'
import { callNative, native } from '../../lib/native.js'
import { errorOf } from '../data/helpers.js'
import { philox } from '../data/philox.js'

function draw(count: number, { seed = 0, stream = 'conv1.weight', std = 1 } = {}): Float32Array {
  const out = new Float32Array(count)
  native().randomNormal(out, { seed, stream, std })
  return out
}

function fnv1a(text: string): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

describe('randomNormal', () => {
  it("is Philox's known answers, as the reference computes them", () => {
    // Random123's kat_vectors for philox4x32-10.
    expect(philox(0n, [0, 0, 0, 0])).to.deep.equal([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8])
    expect(philox(0xffffffffffffffffn, [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff])).to.deep.equal([
      0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd,
    ])
  })

  it('follows its definition', () => {
    const hash = fnv1a('stem.conv.weight')
    const low = Number(hash & 0xffffffffn)
    const high = Number(hash >> 32n)
    const values = draw(1003, { seed: 2 ** 40 + 5, stream: 'stem.conv.weight', std: 0.5 })
    for (let i = 0; i < values.length; i += 2) {
      const block = philox(BigInt(2 ** 40 + 5), [Math.floor(i / 4), low, high, 0])
      const [a, b] = [block[i % 4]!, block[(i % 4) + 1]!]
      const radius = Math.sqrt(-2 * Math.log((a + 0.5) / 2 ** 32))
      expect(values[i]).to.be.closeTo(0.5 * radius * Math.cos((2 * Math.PI * b) / 2 ** 32), 1e-6)
      if (i + 1 < values.length) expect(values[i + 1]).to.be.closeTo(0.5 * radius * Math.sin((2 * Math.PI * b) / 2 ** 32), 1e-6)
    }
  })

  it('has the moments of a normal distribution', () => {
    const n = 400_000
    const values = draw(n, { std: 2 })
    const moment = (k: number) => values.reduce((sum, v) => sum + (v / 2) ** k, 0) / n
    // Five standard errors each.
    expect(moment(1)).to.be.closeTo(0, 5 / Math.sqrt(n))
    expect(moment(2)).to.be.closeTo(1, 5 * Math.sqrt(2 / n))
    expect(moment(3)).to.be.closeTo(0, 5 * Math.sqrt(15 / n))
    expect(moment(4)).to.be.closeTo(3, 5 * Math.sqrt(96 / n))
  })

  it('depends on seed and stream, not on how many are drawn', () => {
    const values = draw(64)
    expect(draw(17)).to.deep.equal(values.slice(0, 17))
    expect(draw(64, { seed: 1 })).to.not.deep.equal(values)
    expect(draw(64, { stream: 'conv2.weight' })).to.not.deep.equal(values)
    expect(draw(0)).to.have.length(0)
  })

  it('refuses what is no Float32Array and no finite deviation', async () => {
    const run = (out: unknown, std: unknown) =>
      errorOf(() => callNative((b) => b.randomNormal(out as Float32Array, { seed: 0, stream: 's', std: std as number })))
    expect(await run(new Float64Array(1), 1)).to.include({ code: 'ERR_SKNET_NATIVE', option: 'out' })
    expect(await run(new Float32Array(1), NaN)).to.include({ code: 'ERR_SKNET_NATIVE', option: 'std' })
  })
})
