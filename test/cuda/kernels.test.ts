/**
 * The kernels one by one (native/cuda/selftest) against float64 loops on the emulator, in every schedule of lanes: all that a candidate does
 * for its neighbours, odd shapes, padding, every width of groups.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { root } from '../structure/tree.js'

const build = process.env.SKNET_PREBUILD === undefined ? path.join(root, 'build') : path.join(process.env.SKNET_PREBUILD, 'build')
const binary = path.join(build, 'Release/sknet_cuda_selftest')

function outputOf(environment: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (text: Buffer) => (output += text.toString()))
    child.on('error', reject)
    child.on('close', () => resolve(output))
  })
}

describe('CUDA kernels', function () {
  this.timeout(600_000)
  if (!existsSync(binary)) {
    it('the emulator is not built: npm run build:native')
    return
  }
  const names = execFileSync(binary, ['--list'], { encoding: 'utf8' }).trim().split('\n')

  for (const schedule of ['up', 'down', 'random']) {
    describe(`schedule ${schedule}`, () => {
      let lines: string[] = []
      before(async () => {
        lines = (await outputOf({ SKNET_SIMT_SCHEDULE: schedule })).split('\n')
      })
      for (const name of names) {
        it(name, () => {
          const line = lines.find((candidate) => candidate.split(/[ :]/)[1] === name)
          expect(line ?? `no result for ${name}: the process ended`).to.equal(`ok ${name}`)
        })
      }
    })
  }
})
