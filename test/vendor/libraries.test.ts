/** The loaders of the vendors' libraries, against made ones: found, missing, too old, something else. */
import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from '../support/temp.js'

const root = join(import.meta.dirname, '../..')
const sources = ['core/library.cc', 'vendor/cudnn/cudnn.cc', 'vendor/cublas/cublaslt.cc', 'vendor/nccl/nccl.cc']

describe('vendors: libraries', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()
  let program: string

  before(() => {
    program = join(folder(), 'report')
    const files = sources.map((source) => join(root, 'native', source))
    const report = join(import.meta.dirname, 'report.cc')
    execFileSync('g++', ['-std=c++20', `-I${join(root, 'native')}`, ...files, report, '-ldl', '-o', program], { stdio: 'pipe' })
  })

  /** A library with functions that do nothing but those given. */
  function library(file: string, functions: Record<string, string>): string {
    const source = join(folder(), `${file}.cc`)
    writeFileSync(
      source,
      `#include <cstddef>\nextern "C" {\n${Object.entries(functions)
        .map(([name, text]) => text || `int ${name}() { return 0; }`)
        .join('\n')}\n}\n`,
    )
    const path = join(folder(), file)
    execFileSync('g++', ['-shared', '-fPIC', source, '-o', path], { stdio: 'pipe' })
    return path
  }

  function reports(env: Record<string, string>): Record<string, { path: string; version: string; reason: string }> {
    const text = execFileSync(program, { encoding: 'utf8', env: { PATH: '/usr/bin:/bin', ...env } })
    const rows = text
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t') as [string, string, string, string])
    return Object.fromEntries(rows.map(([name, path, version, reason]) => [name, { path, version, reason }]))
  }

  const cudnn = (version: number): Record<string, string> => ({
    cudnnGetVersion: `size_t cudnnGetVersion() { return ${version}; }`,
    ...Object.fromEntries(
      ['GetErrorString', 'GetLastErrorString', 'Create', 'Destroy', 'SetStream', 'BackendCreateDescriptor', 'BackendDestroyDescriptor']
        .concat(['BackendSetAttribute', 'BackendGetAttribute', 'BackendFinalize', 'BackendExecute'])
        .map((name) => [`cudnn${name}`, '']),
    ),
  })

  it('are used from the file or the folder that their variable names, with path and version', () => {
    const path = library('libcudnn.so.9', cudnn(91203))
    for (const value of [path, folder()]) {
      expect(reports({ SKNET_CUDNN_PATH: value }).cuDNN).to.deep.equal({ path, version: '9.12.3', reason: '' })
    }
  })

  it('are refused by name when too old', () => {
    const path = library('libcudnn_old.so', cudnn(89700))
    const { version, reason } = reports({ SKNET_CUDNN_PATH: path }).cuDNN!
    expect(version).to.equal('8.97.0')
    expect(reason).to.equal(`${path} is cuDNN 8.97.0; Install cuDNN 9 (package cudnn9-cuda-13, or pip's nvidia-cudnn-cu13)`)
  })

  it('are refused when they lack a function', () => {
    const { cudnnBackendFinalize: _, ...rest } = cudnn(91000)
    const path = library('libcudnn_part.so', rest)
    expect(reports({ SKNET_CUDNN_PATH: path }).cuDNN!.reason).to.match(
      /libcudnn_part\.so has no cudnnBackendFinalize: too old, or not cuDNN/,
    )
    const other = library('libother.so', { something: '' })
    expect(reports({ SKNET_NCCL_PATH: other }).NCCL!.reason).to.match(/libother\.so has no ncclGetVersion: too old, or not NCCL/)
  })

  it('that cannot be opened say what the loader said; a variable that is set is the only place looked at', () => {
    const { path, version, reason } = reports({ SKNET_CUBLAS_PATH: '/nowhere/libcublasLt.so.13' }).cuBLASLt!
    expect([path, version]).to.deep.equal(['', ''])
    expect(reason).to.match(/^SKNET_CUBLAS_PATH: \/nowhere\/libcublasLt\.so\.13: cannot open shared object file/)
  })

  it('that are missing say what to do, in every case', () => {
    for (const { path, reason } of Object.values(reports({}))) {
      if (path === '') expect(reason).to.match(/Install .* or set SKNET_[A-Z]+_PATH to its file or folder/)
      else expect(reason).to.equal('')
    }
  })
})
