/** The layer law of the C++ side, on the tree as it is; lib/'s is held by .dependency-cruiser.cjs. */
import { expect } from 'chai'
import {
  candidateFindings,
  includeFindings,
  lengthFindings,
  mirrorFindings,
  processEndFindings,
  unbuiltFindings,
} from './structure/rules.js'
import type { MirrorLists } from './structure/rules.js'
import { readTree } from './structure/tree.js'

const mirror: MirrorLists = {
  notOps: ['candidate', 'layout', 'normalize', 'registry', 'selection', 'update_control'],
  families: { pointwise: ['relu', 'sigmoid', 'add'] },
  helpers: {
    'test/reference/bf16.ts': 'rounds tensors as bfloat16 stores them',
    'test/reference/gradients.test.ts': 'checks the references themselves by finite differences',
    'test/reference/layer-run.ts': 'runs one layer of a model spec on the references',
    'test/reference/layer-tensors.ts': "names a layer's tensors",
    'test/reference/linear.ts': 'a layer, which the core runs as a 1 x 1 conv2d',
    'test/reference/network.ts': 'runs a whole model spec on the references',
    'test/reference/sk_unit.ts': 'a layer, which the core runs as sk_split, sk_fuse, sk_attention and sk_select',
    'test/reference/tensor.ts': 'the float64 tensor the references share',
    'test/reference/train.ts': 'training steps on the references',
  },
}

/** Sources that may use another op's candidate, and why. */
const composed: Record<string, string> = {
  'native/cpu/sk_split_composed.h': 'it is M separate convolutions, run by conv2d',
}

/** Files over 500 lines, and why. */
const longFiles: Record<string, string> = {
  'test/cuda/driver/cases.txt': 'networks as data, written by dump.ts',
  'test/cuda/driver/networks.txt': 'networks as data, written by dump.ts',
}

describe('structure', () => {
  const files = readTree(['native', 'lib', 'test', 'scripts'])

  it('includes point downwards: binding -> {plan, optim, data, dist} -> ops -> core', () => {
    expect(includeFindings(files)).to.deep.equal([])
  })

  it('nothing outside native/core can end the process', () => {
    expect(processEndFindings(files)).to.deep.equal([])
  })

  it('no file is longer than 500 lines', () => {
    expect(lengthFindings(files, 500, longFiles)).to.deep.equal([])
  })

  it('every op has its CPU source, its reference and its test', () => {
    expect(mirrorFindings(files, mirror)).to.deep.equal([])
  })

  it('only registry_cpu.cc chooses among candidates', () => {
    expect(candidateFindings(files, composed)).to.deep.equal([])
  })

  it('every C++ source is built', () => {
    expect(unbuiltFindings(files)).to.deep.equal([])
  })
})
