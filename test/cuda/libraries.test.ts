/** Candidates that use the vendors' libraries, on the emulated device with libraries made for it (test/vendor/fake). */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { hasEmulatedDevice } from '../support/devices.js'
import { builtProgram } from '../support/cuda-selftest.js'
import { root } from '../structure/tree.js'
import { blockCases, trainCases, type CaseResult } from './libraries/cases.js'

const fake = (file: string): string => builtProgram(path.join('fake', file))

interface Library {
  name: string
  candidate: string
  cases: keyof typeof blockCases
  variable: string
  file: string
  refuses: RegExp
  fails: RegExp
}

const libraries: Library[] = [
  {
    name: 'cuBLASLt',
    candidate: 'cublas',
    cases: 'pointwise',
    variable: 'SKNET_CUBLAS_PATH',
    file: 'libcublasLt.so.13',
    refuses: /cublas: cuBLASLt, asking for an algorithm: CUBLAS_STATUS_NOT_SUPPORTED/,
    fails: /^ERR_SKNET_DEVICE cuBLASLt, multiplying: CUBLAS_STATUS_EXECUTION_FAILED/,
  },
  // The second plan that will do has a workspace; in bfloat16 there is a third, which in float32 would be TF32.
  ...['cudnn', 'cudnn:1'].map((candidate) => ({
    name: 'cuDNN',
    candidate,
    cases: 'convolutions' as const,
    variable: 'SKNET_CUDNN_PATH',
    file: 'libcudnn.so.9',
    refuses:
      /cudnn: cuDNN has no plan for it: CUDNN_STATUS_NOT_SUPPORTED \(engine 6 does not take it\)|cudnn:1: there are fewer of its kind/,
    fails: /^ERR_SKNET_DEVICE cuDNN, convolving: CUDNN_STATUS_EXECUTION_FAILED \(told to fail\)/,
  })),
]

function run(env: NodeJS.ProcessEnv, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  })
  expect(stderr).to.equal('')
  return stdout
}

for (const { name, candidate, cases, variable, file, refuses, fails } of libraries) {
  describe(`${name} on cuda-emulated, ${candidate}`, function () {
    this.timeout(300_000)
    if (!hasEmulatedDevice() || !existsSync(fake(file))) {
      it('is not built')
      return
    }
    const results = (env: NodeJS.ProcessEnv): CaseResult[] =>
      run(env, ['test/cuda/libraries/run.ts', candidate, cases])
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as CaseResult)

    it('gives the numbers of the reference, in every op of every layer', () => {
      const found = results({ [variable]: fake(file) })
      expect(found.filter(({ error }) => error !== undefined)).to.deep.equal([])
      expect(found).to.have.lengthOf(blockCases[cases].length + trainCases[cases].length)
      for (const [i, c] of blockCases[cases].entries()) {
        const convolutions = c.layers.filter(({ op }) => op === 'conv2d' || op === 'linear')
        expect(found[i]!.ran, c.name).to.have.lengthOf(3 * convolutions.length)
        // Both round what they store, now and then to the other side.
        expect(found[i]!.bf16, c.name).to.be.below(1e-2)
      }
    })

    it('that takes nothing is an answer', () => {
      for (const { error } of results({ [variable]: fake(file), SKNET_FAKE_LIBRARY: 'refuse' })) {
        expect(error)
          .to.match(/^ERR_SKNET_OPTION .*no candidate accepts/)
          .and.match(refuses)
      }
    })

    it('that fails ends the step with its words', () => {
      for (const { error } of results({ [variable]: fake(file), SKNET_FAKE_LIBRARY: 'fail' })) expect(error).to.match(fails)
    })

    it('that is missing is refused with what to do, and not asked of the emulated device unless named', () => {
      if (candidate.includes(':')) return // what it says stands with the first
      for (const { error } of results({ [variable]: '/nowhere/library.so' })) {
        expect(error).to.include(`${candidate}: ${variable}: /nowhere/library.so: cannot open shared object file`)
      }
      for (const { error } of results({ [variable]: '' })) expect(error).to.include(`${candidate}: ${name} is not for the emulated device`)
    })

    it('takes part where candidates are timed, and is left out where it fails', () => {
      const script = `
        const { native } = await import('./lib/native.ts')
        const { blockCases } = await import('./test/cuda/libraries/cases.ts')
        const { input: [shardSize, height, width, channels], layers } = blockCases['${cases}'][0]
        const plan = new (native().Plan)({ layers, input: { height, width, channels }, mode: 'block', shardSize, shards: 1, threads: 1, device: 'cuda-emulated' })
        plan.blockForward(new Float32Array(shardSize * height * width * channels))
        for (const { candidate, trials, refused } of plan.steps()) console.log(JSON.stringify({ candidate, tried: trials.map((t) => t.candidate), refused }))`
      const env = { [variable]: fake(file), SKNET_CUDA_TIMING: '1', SKNET_CUDA_CACHE: '0' }
      const steps = (more: NodeJS.ProcessEnv) =>
        run({ ...env, ...more }, ['--input-type=module', '-e', script])
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as { candidate: string; tried: string[]; refused: { candidate: string; reason: string }[] })
      for (const { tried } of steps({})) expect(tried).to.include(candidate)
      for (const { tried, candidate: chosen, refused } of steps({ SKNET_FAKE_LIBRARY: 'fail' })) {
        expect(tried).not.to.include(candidate)
        expect(chosen).not.to.equal(candidate)
        expect(refused.find((r) => r.candidate === candidate)!.reason).to.match(/^failed when tried: /)
      }
    })
  })
}
