/** Own declarations of vendors' interfaces against the vendors' headers, wherever those are found. */
import { expect } from 'chai'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** Folders that may hold the headers: those of SKNET_VENDOR_INCLUDE, the system's, the toolkit's, and those of Python's packages. */
function includeFolders(): string[] {
  const own = (process.env.SKNET_VENDOR_INCLUDE ?? '').split(':').filter((folder) => folder !== '')
  const python = spawnSync('python3', ['-c', 'import sys; print("\\n".join(sys.path))'], { encoding: 'utf8' })
  const packages = python.status === 0 ? python.stdout.split('\n').filter((folder) => folder.endsWith('-packages')) : []
  return [...own, '/usr/include', '/usr/local/cuda/include', ...packages.flatMap(nvidiaIncludes)]
}

function nvidiaIncludes(packages: string): string[] {
  const nvidia = join(packages, 'nvidia')
  return existsSync(nvidia) ? readdirSync(nvidia).map((name) => join(nvidia, name, 'include')) : []
}

const vendors = [
  { name: 'nccl', header: 'nccl.h' },
  { name: 'cublas', header: 'cublasLt.h' },
  { name: 'cudnn', header: 'cudnn_graph.h' },
]

describe('vendors: declarations', function () {
  this.timeout(120_000)
  const folders = includeFolders()
  const headers = folders.filter((folder) => folder !== '/usr/include').flatMap((folder) => ['-isystem', folder])

  for (const { name, header } of vendors) {
    it(`of ${name} agree with ${header}`, function () {
      const found = folders.some((folder) => existsSync(join(folder, header)))
      if (!found || !folders.some((folder) => existsSync(join(folder, 'cuda_runtime_api.h')))) this.skip()
      const source = join(import.meta.dirname, `abi_${name}.cc`)
      execFileSync('g++', ['-std=c++20', '-fsyntax-only', `-I${join(root, 'native')}`, ...headers, source], { stdio: 'pipe' })
    })
  }

  it('are compared by value, by parameter and by layout', () => {
    const compiles = (statement: string): boolean =>
      spawnSync('g++', ['-std=c++20', '-fsyntax-only', `-I${import.meta.dirname}`, '-x', 'c++', '-'], {
        input: `#include <cstddef>\n#include "same_abi.h"\nusing namespace sknet;\nstruct A { char id[128]; };\nstruct B { char id[64]; };\nenum E { one };\n${statement}`,
      }).status === 0
    const same = (a: string, b: string): boolean => compiles(`static_assert(SameAbi<${a}, ${b}>::value);`)
    expect(same('int (*)(void*, int)', 'E (*)(A*, E)')).to.equal(true)
    expect(same('int (*)(A)', 'int (*)(B)')).to.equal(false)
    expect(same('int (*)(int)', 'int (*)(std::size_t)')).to.equal(false)
    expect(same('int (*)(int, int)', 'int (*)(int)')).to.equal(false)
    expect(same('int (*)(float)', 'int (*)(int)')).to.equal(false)
    expect(same('void (*)()', 'int (*)()')).to.equal(false)
  })
})
