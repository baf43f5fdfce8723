import { expect } from 'chai'
import { defineModel } from '../../lib/model/model.js'
import { createModel, sknet50, sknetCifar } from '../../lib/model/registry.js'
import type { CreateOptions } from '../../lib/model/registry.js'
import type { Layer, ModelSpec } from '../../lib/model/spec.js'
import * as l from '../support/layers.js'
import { thrown } from '../support/thrown.js'

/** A small network whose parts the cases below break. */
function small(): ModelSpec {
  const layers: Layer[] = [
    l.conv2d('stem', 'input', 8, { kernel: 3, padding: 1 }),
    l.batchNorm('norm', 'stem'),
    l.skUnit('unit', 'norm', 8, l.dilatedBranches(2, 4), 4),
    l.add('sum', 'unit', 'norm'),
    l.maxPool('pool', 'sum', 2, 2, 0),
    l.globalAvgPool('mean', 'pool'),
    l.conv2d('gate', 'mean', 8),
    l.channelScale('scaled', 'pool', 'gate'),
    l.globalAvgPool('all', 'scaled'),
    l.linear('fc', 'all', 5),
  ]
  return { format: 'sknet-model-1', arch: 'small', classes: 5, input: { channels: 3, size: 16 }, layers }
}

/** A network of the layers that rearrange channels, and a pool with cut windows. */
function rearranged(): ModelSpec {
  const layers: Layer[] = [
    l.conv2d('stem', 'input', 8),
    l.maxPool('pool', 'stem', 3, 2, 0, true),
    l.channelSlice('low', 'pool', 0, 4),
    l.channelSlice('high', 'pool', 4, 4),
    l.concat('both', 'high', 'low'),
    l.channelShuffle('shuffled', 'both', 2),
    l.skUnit('unit', 'shuffled', 6, l.dilatedBranches(2, 2), 4, 1, true),
    l.globalAvgPool('mean', 'unit'),
    l.linear('fc', 'mean', 5),
  ]
  return { format: 'sknet-model-1', arch: 'rearranged', classes: 5, input: { channels: 3, size: 16 }, layers }
}

function rearrangedWith(name: string, change: Record<string, unknown>): unknown {
  const spec = rearranged()
  return { ...spec, layers: spec.layers.map((layer) => (layer.name === name ? { ...layer, ...change } : layer)) }
}

/** The small network with one layer's fields changed. */
function changed(name: string, change: Record<string, unknown>): unknown {
  const spec = small()
  return { ...spec, layers: spec.layers.map((layer) => (layer.name === name ? { ...layer, ...change } : layer)) }
}

describe('a spec', () => {
  it('of one’s own is a model, and survives JSON', () => {
    const model = defineModel(small())
    expect(model.spec).to.deep.equal(small())
    const unit = 2 * (8 * 2 * 9 + 16) + 32 + 8 + 64
    expect(model.params).to.equal(8 * 3 * 9 + 16 + unit + 64 + 45)
    for (const spec of [model.spec, sknet50().spec]) {
      expect(defineModel(JSON.parse(JSON.stringify(spec)) as ModelSpec).spec).to.deep.equal(spec)
    }
  })

  it('may slice, concatenate and shuffle channels, split inputs and cut windows', () => {
    const model = defineModel(rearranged())
    expect(model.spec).to.deep.equal(rearranged())
    expect(
      model
        .summary()
        .layers.map(({ outputShape }) => outputShape.join('x'))
        .slice(0, 7),
    ).to.deep.equal('16x16x8 8x8x8 8x8x4 8x8x4 8x8x8 8x8x8 8x8x6'.split(' '))
    const paths = model.tensors().filter(({ name }) => name.endsWith('.conv.weight'))
    expect(paths.map(({ shape }) => shape.join('x'))).to.deep.equal(['6x2x3x3', '6x2x3x3'])
    expect(model.macs()).to.equal(16 * 16 * 24 + 8 * 8 * 6 * 2 * 9 * 2 + 4 * 6 + 12 * 4 + 30)
  })

  it('is frozen, and apart from the caller’s', () => {
    const own = small()
    const model = defineModel(own)
    own.classes = 7
    expect(model.spec.classes).to.equal(5)
    expect(() => model.spec.layers.push(l.relu('x', 'fc'))).to.throw(TypeError)
  })

  const bad: [string, unknown, layer: string | undefined, message: RegExp][] = [
    ['unknown op', changed('norm', { op: 'batchnorm' }), 'norm', /op is 'batchnorm'.*Did you mean batch_norm/],
    ['unknown field', changed('stem', { dilatoin: 1 }), 'stem', /unknown field dilatoin.*Did you mean dilation/],
    ['missing field', changed('stem', { bias: undefined }), 'stem', /bias is missing/],
    ['fraction', changed('stem', { stride: 1.5 }), 'stem', /stride is 1.5/],
    ['text', changed('stem', { out: '8' }), 'stem', /out is '8'/],
    ['name used twice', changed('norm', { name: 'stem', inputs: ['stem'] }), 'stem', /used twice/],
    ['name of the input', changed('stem', { name: 'input' }), 'input', /stands for the network input/],
    ['unknown input', changed('norm', { inputs: ['stam'] }), 'norm', /reads 'stam'/],
    ['input from below', changed('norm', { inputs: ['fc'] }), 'norm', /reads 'fc'/],
    ['too few inputs', changed('sum', { inputs: ['unit'] }), 'sum', /a list of 2 names/],
    ['groups that do not divide', changed('stem', { groups: 3 }), 'stem', /3 groups for 3 input and 8 output channels/],
    [
      'groups of a branch that do not divide',
      changed('unit', { branches: [{ kernel: 3, dilation: 1, groups: 3 }] }),
      'unit',
      /3 groups for 8 channels/,
    ],
    [
      'even kernel in a branch',
      changed('unit', { branches: [{ kernel: 4, dilation: 1, groups: 1 }] }),
      'unit',
      /branches\[0\].kernel is 4; expected an odd/,
    ],
    ['no branch', changed('unit', { branches: [] }), 'unit', /1 to 16 branches/],
    [
      'unknown field of a branch',
      changed('unit', { branches: [{ kernel: 3, dilation: 1, group: 1, groups: 1 }] }),
      'unit',
      /branches\[0\].group/,
    ],
    ['attention without width', changed('unit', { attention: {} }), 'unit', /attention.width is missing/],
    ['sum of different shapes', changed('unit', { stride: 2 }), 'sum', /8x8x8, norm is 16x16x8/],
    ['gate of another width', changed('gate', { out: 4 }), 'scaled', /gate gate is 1x1x4; expected 1x1x8/],
    ['linear on an image', changed('all', { op: 'relu' }), 'fc', /its input is 8x8x8/],
    ['padding over half the window', changed('pool', { padding: 2 }), 'pool', /at most half the kernel/],
    ['output that is not the classes', changed('fc', { out: 6 }), 'fc', /1x1x5, one number a class/],
    ['slice beyond the channels', rearrangedWith('high', { out: 5 }), 'high', /ends at channel 9 of 8/],
    ['slice of nothing', rearrangedWith('high', { out: 0 }), 'high', /out is 0/],
    ['slice before the channels', rearrangedWith('high', { first: -1 }), 'high', /first is -1/],
    ['shuffle whose groups do not divide', rearrangedWith('shuffled', { groups: 3 }), 'shuffled', /3 groups for 8 channels/],
    ['concat of one', rearrangedWith('both', { inputs: ['low'] }), 'both', /a list of 2 to 4 names/],
    ['concat of different sizes', rearrangedWith('both', { inputs: ['high', 'low', 'stem'] }), 'both', /high is 8x8x4, stem is 16x16x8/],
    ['shares that are not even', rearrangedWith('unit', { branches: l.dilatedBranches(3, 2) }), 'unit', /3 branches share 8 channels/],
    ['groups of a share', rearrangedWith('unit', { branches: l.dilatedBranches(2, 3) }), 'unit', /3 groups for 4 input and 6 output/],
    ['split input that is no flag', rearrangedWith('unit', { splitInput: 1 }), 'unit', /splitInput is 1/],
    ['ceil that is no flag', rearrangedWith('pool', { ceil: 'yes' }), 'pool', /ceil is 'yes'/],
    ['layer read by none', { ...small(), layers: [l.relu('loose', 'input'), ...small().layers] }, 'loose', /no layer reads its output/],
    ['no layers', { ...small(), layers: [] }, undefined, /at least one layer/],
    ['no classes', { ...small(), classes: 0 }, undefined, /classes is 0/],
    ['newer format', { ...small(), format: 'sknet-model-2' }, undefined, /upgrade sknet/],
    ['no object', null, undefined, /the model is null/],
    ['unknown part', { ...small(), layer: [] }, undefined, /Did you mean layers/],
    ['init of no tensor', { ...small(), init: { 'fc.weigth': { kind: 'he_fan_in' } } }, undefined, /Did you mean fc.weight/],
    ['init without std', { ...small(), init: { 'fc.weight': { kind: 'normal' } } }, undefined, /init.fc.weight/],
  ]
  for (const [what, spec, layer, message] of bad) {
    it(`refuses: ${what}`, () => {
      const error = thrown(() => defineModel(spec as ModelSpec))
      expect(error.code).to.equal('ERR_SKNET_MODEL')
      expect(error.message).to.match(message)
      expect(error.expected).to.be.a('string').that.is.not.empty
      expect(error.exitCode).to.equal(2)
      if (layer !== undefined) expect(error.tensor).to.equal(layer)
    })
  }

  it('refuses two tensors of one name', () => {
    const spec = small()
    const layers: Layer[] = [
      ...spec.layers.slice(0, -1),
      { ...l.conv2d('unit.attn.fc_reduce', 'all', 8), inputs: ['all'] },
      l.linear('fc', 'unit.attn.fc_reduce', 5),
    ]
    expect(thrown(() => defineModel({ ...spec, layers })).message).to.include('tensor unit.attn.fc_reduce.weight')
  })
})

describe('model options', () => {
  const bad: [string, () => unknown, string, string][] = [
    ['unknown model', () => createModel('sknet05'), 'ERR_SKNET_OPTION', 'Did you mean sknet50?'],
    ['no name', () => createModel(undefined as unknown as string), 'ERR_SKNET_OPTION', 'expected one of sknet26'],
    ['prototype name', () => createModel('constructor'), 'ERR_SKNET_OPTION', 'Unknown model'],
    ['typo', () => sknet50({ branchs: 3 } as CreateOptions), 'ERR_SKNET_OPTION', 'Did you mean branches?'],
    ['no classes', () => sknet50({ classes: 0 }), 'ERR_SKNET_OPTION', 'classes is 0'],
    ['minWidth of other stages', () => sknet50({ minWidth: [32, 16] }), 'ERR_SKNET_OPTION', 'one for each of 4 stages'],
    ['minWidth 0 in a stage', () => sknet50({ minWidth: [32, 0, 32, 32] }), 'ERR_SKNET_OPTION', 'minWidth[1] is 0'],
    ['stemPool', () => sknet50({ stemPool: 'same' as 'ceil' }), 'ERR_SKNET_OPTION', "stemPool is 'same'"],
    ['splitInput', () => sknet50({ splitInput: 2 as unknown as boolean }), 'ERR_SKNET_OPTION', 'splitInput is 2'],
    ['branches 0', () => sknet50({ branches: 0 }), 'ERR_SKNET_OPTION', 'branches is 0'],
    ['reduction 0', () => sknet50({ reduction: 0 }), 'ERR_SKNET_OPTION', 'reduction is 0'],
    ['seed -1', () => sknet50({ seed: -1 }), 'ERR_SKNET_OPTION', 'seed is -1'],
    ['blocks', () => sknet50({ blocks: [3, 0] }), 'ERR_SKNET_OPTION', 'blocks[1] is 0'],
    ['attention', () => sknet50({ attention: 1 as unknown as boolean }), 'ERR_SKNET_OPTION', 'attention is 1'],
    ['branch field', () => sknet50({ branches: [{ kernal: 5 } as object] }), 'ERR_SKNET_OPTION', 'branches[0].kernal'],
    ['groups', () => sknet50({ groups: 48 }), 'ERR_SKNET_MODEL', '48 groups for 128 channels'],
    ['even kernel', () => sknet50({ branches: [{ kernel: 4 }] }), 'ERR_SKNET_MODEL', 'branches[0].kernel is 4'],
    ['SK options of a plain network', () => createModel('resnext50_32x4d', { branches: 2 }), 'ERR_SKNET_OPTION', 'Unknown option branches'],
    ['SK options of a plain CIFAR network', () => sknetCifar({ unit: 'conv', minWidth: 8 }), 'ERR_SKNET_OPTION', 'Unknown option minWidth'],
    ['unit', () => sknetCifar({ unit: 'ske' as 'sk' }), 'ERR_SKNET_OPTION', "unit is 'ske'"],
    ['no object', () => sknetCifar(3 as unknown as object), 'ERR_SKNET_OPTION', 'an object of options'],
    ['size 0', () => sknet50().macs({ size: 0 }), 'ERR_SKNET_OPTION', 'size is 0'],
    ['size of nothing', () => sknet50().summary({ sizes: 224 } as object), 'ERR_SKNET_OPTION', 'Did you mean size?'],
  ]
  for (const [what, run, code, message] of bad) {
    it(`refuse: ${what}`, () => {
      const error = thrown(run)
      expect(error.code).to.equal(code)
      expect(error.message).to.include(message)
    })
  }

  it('copies none of the caller’s objects into the spec', () => {
    const branch = { kernel: 3, dilation: 1, groups: 32 }
    const model = sknet50({ branches: [branch] })
    branch.kernel = 5
    expect(JSON.stringify(model.spec)).to.not.include('"kernel":5')
  })
})
