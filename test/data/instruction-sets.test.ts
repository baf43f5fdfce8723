/** Batches are the same bytes in every instruction set: they hold integers until the last step. */
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { expect } from 'chai'
import { callNative } from '../../lib/native.js'

const script = path.join(import.meta.dirname, 'hash-batches.ts')

function hashIn(isa: string): string {
  const env = { ...process.env, SKNET_ISA: isa }
  return execFileSync(process.execPath, ['--import', 'tsx', script], { encoding: 'utf8', env })
}

describe('instruction sets', function () {
  this.timeout(60_000)
  const { isa } = callNative((binding) => binding.cpuInfo())
  it(`${isa} and portable give the same batches`, function () {
    if (isa === 'portable') this.skip()
    expect(hashIn(isa)).to.equal(hashIn('portable'))
  })
})
