/** The layer law of the C++ side, on the tree as it is; lib/'s is held by .dependency-cruiser.cjs. */
import { expect } from 'chai'
import { includeFindings, lengthFindings, mirrorFindings, processEndFindings, unbuiltFindings } from './structure/rules.js'
import { readTree } from './structure/tree.js'

/** Headers of native/ops that define no op of their own. */
const notOps = ['candidate', 'registry']

/** Twins that need not exist, or need no header, and why. */
const mirrorExceptions: Record<string, string> = {}

/** Files over 500 lines, and why. */
const longFiles: Record<string, string> = {}

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
    expect(mirrorFindings(files, notOps, mirrorExceptions)).to.deep.equal([])
  })

  it('every C++ source is built', () => {
    expect(unbuiltFindings(files)).to.deep.equal([])
  })
})
