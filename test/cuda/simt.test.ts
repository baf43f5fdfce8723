/** The kernels' emulator (native/cuda/simt): its C++ tests, what ends its process, and the same sources through nvcc where there is one. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { root } from '../structure/tree.js'
import { builtProgram, describeSelftest, listTests } from '../support/cuda-selftest.js'
import { hasNvcc, nvcc } from '../support/nvcc.js'
import { temporaryFolder } from '../support/temp.js'

const program = 'sknet_simt_selftest'
const binary = builtProgram(program)

describeSelftest('simt', program, { up: 1, down: 3, random: 2, 'random:7': 4 })

describe('simt ends the process', () => {
  if (!existsSync(binary)) {
    it(`${program} is not built: npm run build:native`)
    return
  }
  for (const name of listTests(binary, '--list-crashes')) {
    it(name, () => {
      const { status, signal, stderr } = spawnSync(binary, [name], { encoding: 'utf8' })
      if (status === null) {
        expect(signal).to.be.oneOf(['SIGSEGV', 'SIGBUS', 'SIGABRT'])
      } else {
        expect(status).to.not.equal(0)
        expect(stderr).to.contain('AddressSanitizer')
      }
    })
  }
})

describe('simt on a device', () => {
  const folder = temporaryFolder()

  it('compiles with nvcc', function () {
    if (!hasNvcc()) this.skip()
    this.timeout(600_000)
    const names = readdirSync(path.join(root, 'native/cuda/simt/selftest')).filter((name) => name.endsWith('.cu'))
    expect(
      nvcc(
        folder(),
        names.map((name) => `cuda/simt/selftest/${name}`),
      ),
    ).to.deep.equal({ status: 0, stderr: '' })
  })
})
