/**
 * The kernels one by one (native/cuda/selftest) against float64 loops on the emulator, in every schedule of lanes: all that a candidate does
 * for its neighbours, odd shapes, padding, every width of groups.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect } from 'chai'
import { builtProgram, describeSelftest } from '../support/cuda-selftest.js'

describeSelftest('CUDA kernels', 'sknet_cuda_selftest', { up: null, down: null, random: null })

describe('CUDA kernels that refuse', () => {
  const binary = builtProgram('sknet_cuda_selftest')

  it('every case of a test fail it', function () {
    if (!existsSync(binary)) this.skip()
    const env = { ...process.env, SKNET_CUDA_WARPGROUPS: '0' }
    const { status, stdout } = spawnSync(binary, ['warpgroup_pointwise'], { env, encoding: 'utf8' })
    expect(stdout).to.equal('FAILED warpgroup_pointwise: warpgroup ran in no case: SKNET_CUDA_WARPGROUPS=0\n')
    expect(status).to.equal(1)
  })
})
