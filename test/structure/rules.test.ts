/** Every rule refuses what it is there to refuse. */
import { expect } from 'chai'
import { candidateFindings, includeFindings, lengthFindings, mirrorFindings, processEndFindings, unbuiltFindings } from './rules.js'
import { withoutComments } from './tree.js'

const file = (path: string, text = '') => ({ path, text })

describe('structure rules', () => {
  it('refuse an include that points up, sideways, to a vendor or nowhere', () => {
    const tree = [
      file('native/core/a.h'),
      file('native/ops/a.h', '#include "core/a.h"\n#include "a.h"\n#include <vector>\n'),
      file('native/cpu/a.cc', '#include "ops/a.h"\n'),
      file('native/vendor/cudnn/a.h'),
      file('native/vendor/nccl/a.cc', '#include "vendor/cudnn/a.h"\n'),
      file('native/plan/a.cc', '#include "cpu/b.h"\n#include "ops/a.h"\n'),
      file('native/cpu/b.h', '\n#include "plan/c.h"\n'),
      file('native/plan/c.h', '#include "optim/missing.h"\n'),
    ]
    expect(includeFindings(tree)).to.have.members([
      "native/vendor/nccl/a.cc:1: one vendor's folder includes another's, vendor/cudnn/a.h",
      'native/plan/a.cc:1: native/plan may not include native/cpu (cpu/b.h)',
      'native/cpu/b.h:2: native/cpu may not include native/plan (plan/c.h)',
      'native/plan/c.h:1: "optim/missing.h" is no file of native/',
    ])
  })

  it('refuse Node-API outside native/binding, and rooms nobody knows', () => {
    const tree = [
      file('native/binding/a.cc', '#include <napi.h>\n'),
      file('native/data/a.cc', '#include <napi.h>\n'),
      file('native/misc/a.cc'),
    ]
    expect(includeFindings(tree)).to.deep.equal([
      'native/data/a.cc:1: napi.h outside native/binding',
      'native/misc/a.cc: native/misc is no room of the layer law',
    ])
  })

  it('refuse calls that end the process, but not words in comments, strings, names or methods', () => {
    const harmless = '// exit(1)\n/* abort() */ log("exit(1)"); on_exit(x); plan.abort(); static_assert(true);\n'
    const tree = [
      file('native/data/a.cc', `${harmless}std::abort();\n`),
      file('native/cpu/a.cc', '  exit(1);\n'),
      file('native/ops/a.h', harmless),
      file('native/core/a.cc', 'abort();\n'),
    ]
    expect(processEndFindings(tree)).to.deep.equal([
      "native/data/a.cc:3: abort() ends the user's process; throw sknet::Error",
      "native/cpu/a.cc:1: exit() ends the user's process; throw sknet::Error",
    ])
  })

  it('refuse long files and stale exceptions', () => {
    const tree = [file('lib/long.ts', 'x\n'.repeat(6)), file('lib/short.ts', 'x\n'.repeat(5)), file('lib/listed.ts', 'x\n'.repeat(9))]
    expect(lengthFindings(tree, 5, { 'lib/listed.ts': 'a table' })).to.deep.equal(['lib/long.ts: 6 lines, at most 5'])
    expect(lengthFindings(tree.slice(0, 2), 6, { 'lib/short.ts': 'gone' })).to.deep.equal([
      'lib/short.ts: listed as over 6 lines, but is not',
    ])
  })

  it('refuse an op without a twin and a twin without an op', () => {
    const tree = [
      file('native/ops/conv2d.h'),
      file('native/cpu/conv2d.cc'),
      file('test/reference/conv2d.ts'),
      file('native/ops/max_pool.h'),
      file('native/cpu/max_pool.cc'),
      file('test/reference/max-pool.ts'),
      file('test/ops/max-pool.test.ts'),
      file('native/ops/registry.h'),
      file('test/ops/dropout.test.ts'),
    ]
    const lists = { notOps: ['registry'], families: {}, helpers: {} }
    expect(mirrorFindings(tree, lists)).to.deep.equal([
      'native/ops/conv2d.h: test/ops/conv2d.test.ts is missing',
      'test/ops/dropout.test.ts: native/ops has no header of this name',
    ])
    expect(mirrorFindings(tree.slice(0, -1), { ...lists, helpers: { 'test/ops/gone.test.ts': 'why' } })).to.deep.equal([
      'native/ops/conv2d.h: test/ops/conv2d.test.ts is missing',
      'test/ops/gone.test.ts: listed as a helper, but is not there',
    ])
    expect(mirrorFindings(tree.slice(1), { ...lists, helpers: { 'test/ops/dropout.test.ts': 'why' } })).to.deep.equal([
      'test/reference/conv2d.ts: native/ops has no header of this name',
    ])
  })

  it('let a family of small ops go by its own name or by its members', () => {
    const tree = [
      file('native/ops/pointwise.h'),
      file('native/cpu/pointwise.cc'),
      file('test/ops/pointwise.test.ts'),
      file('test/reference/relu.ts'),
    ]
    expect(mirrorFindings(tree, { notOps: [], families: { pointwise: ['relu', 'add'] }, helpers: {} })).to.deep.equal([
      'native/ops/pointwise.h: test/reference/add.ts is missing',
    ])
  })

  it('refuse a candidate that is named outside its source and the registry', () => {
    const tree = [
      file('native/cpu/kernels.h', 'extern const Add add_plain, add_fast;'),
      file('native/cpu/registry_cpu.cc', 'add_plain, add_fast'),
      file('native/cpu/add.cc', 'const Add add_plain, add_fast;'),
      file('native/cpu/relu.cc', '// add_plain is elsewhere\nadd_fast.run();'),
    ]
    expect(candidateFindings(tree)).to.deep.equal([
      'add_fast: named in native/cpu/add.cc, native/cpu/relu.cc; only its source and registry_cpu.cc may',
    ])
    expect(candidateFindings(tree, { 'native/cpu/relu.cc': 'why' })).to.deep.equal([])
    expect(candidateFindings([])).to.deep.equal(['native/cpu/kernels.h is missing'])
  })

  it('refuse sources that no CMakeLists.txt names', () => {
    const tree = [
      file('native/core/CMakeLists.txt', 'target_sources(sknet PRIVATE arena.cc lower/sk.cc)\n'),
      file('native/core/arena.cc'),
      file('native/core/rena.cc'),
      file('native/core/lower/sk.cc'),
      file('native/core/lower/arena.cc'),
      file('native/ops/a.cc'),
    ]
    expect(unbuiltFindings(tree)).to.deep.equal([
      'native/core/rena.cc: no CMakeLists.txt names it',
      'native/core/lower/arena.cc: no CMakeLists.txt names it',
      'native/ops/a.cc: no CMakeLists.txt names it',
    ])
  })

  it('keep line numbers when comments are taken out', () => {
    expect(withoutComments('a /* b\nc */ d "//" // e\nf')).to.equal('a     \n     d ""     \nf')
  })
})
