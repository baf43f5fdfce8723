/**
 * The kernels' emulator (native/cuda/simt): its C++ tests in every schedule of lanes, on one thread and on several, and the same sources
 * through nvcc where there is one.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { root } from '../structure/tree.js'
import { temporaryFolder } from '../support/temp.js'

const build = process.env.SKNET_PREBUILD === undefined ? path.join(root, 'build') : path.join(process.env.SKNET_PREBUILD, 'build')
const binary = path.join(build, 'Release/sknet_simt_selftest')
const settings = [
  { SKNET_SIMT_SCHEDULE: 'up', SKNET_SIMT_THREADS: '1' },
  { SKNET_SIMT_SCHEDULE: 'down', SKNET_SIMT_THREADS: '3' },
  { SKNET_SIMT_SCHEDULE: 'random', SKNET_SIMT_THREADS: '2' },
  { SKNET_SIMT_SCHEDULE: 'random:7', SKNET_SIMT_THREADS: '4' },
]

describe('simt', function () {
  if (!existsSync(binary)) {
    it('the emulator is not built: npm run build:native')
    return
  }
  const list = (option: string) => execFileSync(binary, [option], { encoding: 'utf8' }).trim().split('\n')
  const names = list('--list')

  it('lists its tests', () => {
    expect(names).to.include('mma_as_in_the_isa')
  })

  for (const name of list('--list-crashes')) {
    it(`ends the process: ${name}`, () => {
      const { status, signal, stderr } = spawnSync(binary, [name], { encoding: 'utf8' })
      if (status === null) {
        expect(signal).to.be.oneOf(['SIGSEGV', 'SIGBUS', 'SIGABRT'])
      } else {
        expect(status).to.not.equal(0)
        expect(stderr).to.contain('AddressSanitizer')
      }
    })
  }

  for (const environment of settings) {
    describe(Object.values(environment).join(', ') + ' threads', () => {
      const { stdout } = spawnSync(binary, { encoding: 'utf8', env: { ...process.env, ...environment } })
      for (const name of names) {
        it(name, () => {
          const line = stdout.split('\n').find((candidate) => candidate.split(/[ :]/)[1] === name)
          expect(line ?? `no result for ${name}: the process ended`).to.equal(`ok ${name}`)
        })
      }
    })
  }
})

describe('simt sources on a device', () => {
  const folder = temporaryFolder()

  it('compile with nvcc', function () {
    if (spawnSync('nvcc', ['--version']).error) this.skip()
    this.timeout(600_000)
    const selftest = path.join(root, 'native/cuda/simt/selftest')
    const all = path.join(folder(), 'all.cu')
    const sources = readdirSync(selftest).filter((name) => name.endsWith('.cu'))
    writeFileSync(all, sources.map((name) => `#include "cuda/simt/selftest/${name}"\n`).join(''))
    const architectures = ['80', '90'].flatMap((number) => ['-gencode', `arch=compute_${number},code=sm_${number}`])
    const options = ['-std=c++20', '-Werror', 'all-warnings', '-I', path.join(root, 'native'), ...architectures]
    const { status, stderr } = spawnSync('nvcc', [...options, '-c', all, '-o', path.join(folder(), 'all.o')], { encoding: 'utf8' })
    expect(stderr).to.equal('')
    expect(status).to.equal(0)
  })
})
