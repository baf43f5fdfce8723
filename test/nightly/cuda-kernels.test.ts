/** Every kernel source of native/cuda goes through nvcc, where there is one, and keeps what it works with in registers. */
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { root } from '../structure/tree.js'
import { hasNvcc, nvcc } from '../support/nvcc.js'
import { temporaryFolder } from '../support/temp.js'

describe('kernels on a device', () => {
  const folder = temporaryFolder()

  for (const name of readdirSync(path.join(root, 'native/cuda')).filter((file) => file.endsWith('.cu'))) {
    it(`${name} spills nothing`, function () {
      if (!hasNvcc()) this.skip()
      const { status, stderr } = nvcc(folder(), [`cuda/${name}`], '-Xptxas', '-v')
      expect(status, stderr).to.equal(0)
      const lines = stderr.split('\n').filter((line) => line.includes('bytes spill stores'))
      expect(lines).to.not.have.length(0)
      expect(lines.filter((line) => !/ 0 bytes spill stores, 0 bytes spill loads/.test(line))).to.deep.equal([])
    })
  }
})
