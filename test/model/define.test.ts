// Networks of blocks. Lines under @ts-expect-error are what the type checker must refuse (npm run lint); each is refused at run time, too.
import { expect } from 'chai'
import * as blocks from '../../lib/model/define-blocks.js'
import { defineModel } from '../../lib/model/model.js'
import { createModel } from '../../lib/model/registry.js'
import { runNetwork } from '../reference/network.js'
import { tensor } from '../reference/tensor.js'
import { relativeError } from '../support/compare.js'
import { conv2d, relu } from '../support/layers.js'
import { thrown } from '../support/thrown.js'

const { bottleneck, head, layers, separable, shuffleUnit, skBasic, skBottleneck, stem } = blocks

/** One of every kind. */
const everything = () =>
  defineModel({
    name: 'everything',
    size: 32,
    blocks: [
      stem({ in: 3, out: 16 }),
      skBottleneck({ in: 16, mid: 8, out: 32, groups: 4, branches: 3, minWidth: 8 }),
      bottleneck({ in: 32, mid: 16, out: 32, groups: 4, se: 8, stride: 2 }),
      skBasic({ in: 32, out: 24, splitInput: true, minWidth: 8 }),
      shuffleUnit({ in: 24, out: 40, stride: 2 }),
      shuffleUnit({ in: 40, out: 40, sk: true }),
      separable({ in: 40, out: 20, sk: true, name: 'last' }),
      layers({ in: 20, out: 12, layers: [conv2d('reduce', 'input', 12, { bias: true }), relu('act', 'reduce')] }),
      head({ in: 12, out: 5 }),
    ],
  })

describe('defineModel with blocks', () => {
  it('gives a network of all kinds of blocks that runs as the reference says', async () => {
    await using model = everything()
    expect(model.spec).to.include({ arch: 'everything', classes: 5 })
    expect(model.spec.input).to.deep.equal({ channels: 3, size: 32 })
    const weights = new Map(model.tensors().map(({ name, shape }) => [name, tensor([...shape], model.weights().get(name)!)]))
    const x = new Float32Array(2 * 32 * 32 * 3).map((_, i) => Math.sin(i * 0.7))
    const { logits } = await model.forward(x, { shape: [2, 32, 32, 3] })
    const expected = runNetwork(model.spec.layers, tensor([2, 32, 32, 3], x), weights, false).output.data
    expect(relativeError(logits, expected)).to.be.below(1e-5)
  })

  it('names layers by their block, in order or by its own name', () => {
    const names = everything().spec.layers.map(({ name }) => name)
    expect(names[0]).to.equal('block0.conv1')
    expect(names).to.include.members(['block1.conv2', 'block4.shuffle', 'last.conv_dw', 'block7.reduce', 'fc'])
    expect(names.filter((name) => !/^(block\d|last)\.|^(global_pool|fc)$/.test(name))).to.deep.equal([])
  })

  it('builds the named networks', () => {
    const tiny = defineModel({
      name: 'tiny',
      size: 32,
      blocks: [
        stem({ in: 3, out: 32 }),
        skBottleneck({ in: 32, mid: 32, out: 64, groups: 8, minWidth: 16 }),
        skBottleneck({ in: 64, mid: 32, out: 64, groups: 8, minWidth: 16 }),
        skBottleneck({ in: 64, mid: 64, out: 128, groups: 8, minWidth: 16, stride: 2 }),
        skBottleneck({ in: 128, mid: 64, out: 128, groups: 8, minWidth: 16 }),
        skBottleneck({ in: 128, mid: 128, out: 256, groups: 8, minWidth: 16, stride: 2 }),
        skBottleneck({ in: 256, mid: 128, out: 256, groups: 8, minWidth: 16 }),
        head({ in: 256, out: 10 }),
      ],
    })
    const named = createModel('sknet_tiny_cifar')
    expect([tiny.params, tiny.macs()]).to.deep.equal([named.params, named.macs()])
    const sizes = (model: typeof tiny) => model.spec.layers.map(({ name: _name, inputs: _inputs, ...layer }) => layer)
    expect(sizes(tiny)).to.deep.equal(sizes(named))
  })

  it('takes the options that createModel takes', () => {
    const model = defineModel({ name: 'm', size: 8, blocks: [head({ in: 3, out: 2 })] }, { classNames: ['a', 'b'], seed: 3 })
    expect(model.label(1)).to.equal('b')
  })

  it('takes sizes that are known at run time only', () => {
    const width: number = Number('8')
    const model = defineModel({ name: 'm', size: 8, blocks: [stem({ in: 3, out: width }), head({ in: width, out: 4 })] })
    expect(model.params).to.equal(8 * 27 + 16 + 36)
    const list: blocks.Block[] = [stem({ in: 1, out: 4 }), head({ in: 4, out: 2 })]
    expect(defineModel({ name: 'm', size: 8, blocks: list }).spec.input.channels).to.equal(1)
  })
})

describe('blocks that do not fit', () => {
  const wrong: [what: string, make: () => unknown, block: string, message: RegExp][] = [
    [
      'neighbours',
      () =>
        // @ts-expect-error the bottleneck takes 64 channels, the stem gives 32
        defineModel({
          name: 'm',
          size: 32,
          blocks: [stem({ in: 3, out: 32 }), skBottleneck({ in: 64, mid: 32, out: 64 }), head({ in: 64, out: 2 })],
        }),
      'block1',
      /block1: it takes 64 channels, but block0 gives 32/,
    ],
    [
      'the head',
      // @ts-expect-error the head takes 128 channels, the unit gives 64
      () => defineModel({ name: 'm', size: 32, blocks: [separable({ in: 3, out: 64, name: 'first' }), head({ in: 128, out: 2 })] }),
      'block1',
      /it takes 128 channels, but first gives 64/,
    ],
    [
      'blocks after the head',
      // @ts-expect-error the head gives 10 classes, the stem takes 3 channels
      () => defineModel({ name: 'm', size: 32, blocks: [head({ in: 3, out: 10 }), stem({ in: 3, out: 4 })] }),
      'block1',
      /it takes 3 channels, but block0 gives 10/,
    ],
    [
      'sizes known at run time',
      () => defineModel({ name: 'm', size: 32, blocks: [stem({ in: 3, out: Number('32') }), head({ in: Number('64'), out: 2 })] }),
      'block1',
      /it takes 64 channels, but block0 gives 32/,
    ],
    [
      'groups',
      () => defineModel({ name: 'm', size: 32, blocks: [skBottleneck({ in: 3, mid: 10, out: 8, groups: 4 }), head({ in: 8, out: 2 })] }),
      'block0.conv2',
      /4 groups for 10 channels/,
    ],
    [
      'a shuffle unit that keeps the size',
      () => defineModel({ name: 'm', size: 32, blocks: [shuffleUnit({ in: 8, out: 16 }), head({ in: 16, out: 2 })] }),
      'block0',
      /at stride 1 it takes 8 channels and gives 16/,
    ],
    [
      'an odd shuffle unit',
      () => defineModel({ name: 'm', size: 32, blocks: [shuffleUnit({ in: 8, out: 15, stride: 2 }), head({ in: 15, out: 2 })] }),
      'block0',
      /its out is 15/,
    ],
    [
      'layers that give other channels than they say',
      () =>
        defineModel({
          name: 'm',
          size: 32,
          blocks: [layers({ in: 3, out: 16, layers: [conv2d('a', 'input', 8)], name: 'own' }), head({ in: 16, out: 2 })],
        }),
      'own',
      /its last layer own.a gives 8 channels; expected 16/,
    ],
    [
      'no head',
      () => defineModel({ name: 'm', size: 32, blocks: [stem({ in: 3, out: 8 })] }),
      'block0.act1',
      /output is 32x32x8; expected 1x1x8/,
    ],
    [
      'one name twice',
      () =>
        defineModel({
          name: 'm',
          size: 32,
          blocks: [stem({ in: 3, out: 8, name: 'a' }), stem({ in: 8, out: 8, name: 'a' }), head({ in: 8, out: 2 })],
        }),
      'a.conv1',
      /used twice/,
    ],
  ]
  for (const [what, make, block, message] of wrong) {
    it(what, () => {
      const error = thrown(make)
      expect(error).to.include({ code: 'ERR_SKNET_MODEL', tensor: block })
      expect(error.message).to.match(message)
    })
  }

  const badOptions: [() => unknown, string][] = [
    [() => stem({ in: 0, out: 8 }), 'stem.in'],
    [() => stem({ in: 3, out: 8, kind: 'resnet' as 'cifar' }), 'stem.kind'],
    [() => bottleneck({ in: 3, out: 8 } as never), 'bottleneck.mid'],
    [() => bottleneck({ in: 3, mid: 8, out: 8, branches: 2 } as never), 'bottleneck.branches'],
    [() => skBottleneck({ in: 3, mid: 8, out: 8, stride: 3 as 2 }), 'skBottleneck.stride'],
    [() => skBottleneck({ in: 3, mid: 8, out: 8, branches: 0 }), 'branches'],
    [() => skBasic(undefined as never), 'skBasic.in'],
    [() => shuffleUnit({ in: 8, out: 8, sk: 1 as never }), 'shuffleUnit.sk'],
    [() => layers({ in: 8, out: 8, layers: [] }), 'layers.layers'],
    [() => layers({ in: 8, out: 8, layers: [{ op: 'relu' } as never] }), 'layers.layers'],
    [() => head({ in: 8, out: 2, name: '' }), 'head.name'],
    [() => defineModel({ name: '', size: 8, blocks: [head({ in: 8, out: 2 })] }), 'name'],
    [() => defineModel({ name: 'm', size: 0, blocks: [head({ in: 8, out: 2 })] }), 'size'],
    [() => defineModel({ name: 'm', size: 8, blocks: [] }), 'blocks'],
    [() => defineModel({ name: 'm', size: 8, blocks: [{ in: 8, out: 2 } as never] }), 'blocks[0]'],
    [() => defineModel({ name: 'm', size: 8, blocks: [head({ in: 8, out: 2 })], classes: 2 } as never), 'classes'],
  ]
  for (const [make, option] of badOptions) {
    it(`option ${option}`, () => {
      expect(thrown(make)).to.include({ code: 'ERR_SKNET_OPTION', option })
    })
  }
})
