/** Choosing candidates by their times (native/cuda/tuning), on the emulated device, whose times mean nothing but are measured the same way. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import type { PlanStep } from '../../binding.js'
import { native } from '../../lib/native.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { bottleneckCases } from '../support/fragments.js'
import { drawCase, type LayerCase } from '../support/layer-case.js'
import * as l from '../support/layers.js'
import { compareBlock, runBlock, type Variant } from '../support/run-layers.js'
import { root } from '../structure/tree.js'
import { temporaryFolder } from '../support/temp.js'

const bottlenecks = bottleneckCases.find(({ name }) => name === 'an SK bottleneck and one behind it')!
/** Convolutions that both "warpgroup" and "gemm" take, the first two alike. */
const wide: LayerCase = {
  name: 'wide',
  input: [1, 4, 3, 40],
  layers: [l.conv2d('a', 'input', 40), l.conv2d('b', 'a', 40), l.conv2d('c', 'b', 48)],
}

type Times = Map<string, number>

/** The problems of the one cache file in a folder, with the seconds of each candidate. */
function readCache(folder: string): Map<string, Times> {
  const [format, environment, ...lines] = readFileSync(cacheFile(folder), 'utf8').trimEnd().split('\n')
  expect(format).to.equal('sknet: times of candidates, 2')
  expect(environment).to.match(/^sknet \d+\.\d+\.\d+; emulated device 0; compute capability 9\.0; .*cuBLASLt .*cuDNN /)
  expect(lines.pop()).to.equal(`end ${lines.length}`)
  return new Map(
    lines.map((line) => {
      const [problem, ...pairs] = parse(line)
      return [
        problem[0],
        new Map(pairs.filter(([candidate]) => !candidate.startsWith('-')).map(([candidate, text]) => [candidate, Number(text)])),
      ]
    }),
  )
}

/** The problem, then pairs: a candidate and its seconds, or -candidate and why it refused. */
function parse(line: string): [[problem: string], ...[candidate: string, text: string][]] {
  const [problem, ...rest] = line.split('\t') as [string, ...string[]]
  return [[problem], ...Array.from({ length: rest.length / 2 }, (_, i): [string, string] => [rest[2 * i]!, rest[2 * i + 1]!])]
}

function cacheFile(folder: string): string {
  const files = readdirSync(folder)
  expect(files).to.have.lengthOf(1)
  return path.join(folder, files[0]!)
}

/** Rewrites the seconds in a cache, as if another device had taken them. */
function doctor(folder: string, seconds: (problem: string, candidate: string, was: number) => number): void {
  const [format, environment, ...lines] = readFileSync(cacheFile(folder), 'utf8').trimEnd().split('\n')
  const end = lines.pop()!
  const doctored = lines.map((line) => {
    const [[problem], ...pairs] = parse(line)
    const other = pairs.map(([name, text]) => [name, name.startsWith('-') ? text : String(seconds(problem, name, Number(text)))])
    return [problem, ...other.flat()].join('\t')
  })
  writeFileSync(cacheFile(folder), [format, environment, ...doctored, end, ''].join('\n'))
}

const choices = (steps: readonly PlanStep[]) => steps.map(({ seconds: _, ...step }) => step)

describe('candidates are timed on cuda-emulated', function () {
  if (!hasEmulatedDevice()) {
    it('the emulated device is not built')
    return
  }
  const temporary = temporaryFolder()
  let folders = 0
  let folder = ''

  beforeEach(() => {
    folder = path.join(temporary(), `cache-${folders++}`)
    process.env.SKNET_CUDA_TIMING = '1'
    process.env.SKNET_CUDA_CACHE = folder
  })
  afterEach(() => {
    delete process.env.SKNET_CUDA_TIMING
    delete process.env.SKNET_CUDA_CACHE
  })

  const run = (c: LayerCase, variant: Variant = {}) => runBlock(c, drawCase(c), { device: emulated, ...variant })
  /** Without its numbers. */
  function planSteps(c: LayerCase, mode: 'block' | 'infer', variant: Variant = {}): PlanStep[] {
    const [shardSize, height, width, channels] = c.input
    const options = { layers: c.layers, input: { height, width, channels }, shardSize, shards: 1, threads: 1, mode }
    const plan = new (native().Plan)({ ...options, device: emulated, ...variant })
    try {
      return plan.steps()
    } finally {
      plan.dispose()
    }
  }

  it('the fastest runs, losers and what is too plain are told, and like problems are timed once', () => {
    const steps = planSteps(wide, 'block', { precision: 'bf16' })
    const convolutions = steps.filter(({ op }) => op.startsWith('conv2d'))
    expect(convolutions).to.have.lengthOf(9)
    for (const { op, layer, candidate, trials, refused } of convolutions) {
      expect(
        trials.map((trial) => trial.candidate),
        `${op} ${layer}`,
      ).to.have.members(['warpgroup', 'gemm'])
      expect(trials[0]!.candidate).to.equal(candidate)
      expect(trials[0]!.seconds).to.be.within(1e-9, trials[1]!.seconds)
      expect(refused).to.deep.include({ candidate: 'direct', reason: 'for what no other candidate accepts' })
      expect(refused.map((refusal) => refusal.candidate)).to.include('grouped')
    }
    const [a, b] = convolutions.filter(({ op }) => op === 'conv2d_forward')
    expect(a!.trials).to.deep.equal(b!.trials)
    expect([...readCache(folder).keys()].filter((problem) => problem.startsWith('conv2d_forward '))).to.deep.equal([
      'conv2d_forward bf16 packing 1x4x3x40->4x3x40 k1 s1 p0 d1 g1',
      'conv2d_forward bf16 packing 1x4x3x40->4x3x48 k1 s1 p0 d1 g1',
    ])
  })

  it('the next plan takes the times of the one before it', () => {
    const first = planSteps(wide, 'block', { precision: 'bf16' })
    const text = readFileSync(cacheFile(folder), 'utf8')
    expect(choices(planSteps(wide, 'block', { precision: 'bf16' }))).to.deep.equal(choices(first))
    expect(readFileSync(cacheFile(folder), 'utf8')).to.equal(text)
    for (const fastest of ['warpgroup', 'gemm']) {
      doctor(folder, (_, candidate) => (candidate === fastest ? 0.25 : 0.5))
      const steps = planSteps(wide, 'block', { precision: 'bf16' }).filter(({ op }) => op.startsWith('conv2d'))
      expect(new Set(steps.map(({ candidate }) => candidate))).to.deep.equal(new Set([fastest]))
      expect(steps[0]!.trials.map(({ seconds }) => seconds)).to.deep.equal([0.25, 0.5])
    }
  })

  it('a candidate that is asked for runs, whatever the others take', () => {
    planSteps(wide, 'block', { precision: 'bf16' })
    doctor(folder, (_, candidate) => (candidate === 'warpgroup' ? 0.25 : 0.5))
    const steps = planSteps(wide, 'block', { precision: 'bf16', candidates: { conv2d_forward: 'gemm' } })
    expect(steps.filter(({ op }) => op === 'conv2d_forward').map(({ candidate }) => candidate)).to.deep.equal(['gemm', 'gemm', 'gemm'])
    expect(steps.find(({ op }) => op === 'conv2d_backward_data')!.candidate).to.equal('warpgroup')
  })

  describe('weighed against a pass of its own', () => {
    const passes = ['batch_norm_statistics', 'batch_norm_close', 'batch_norm_gradient', 'batch_norm_apply']
    const drawn = drawCase(bottlenecks)
    const countPasses = (steps: readonly PlanStep[]) => passes.map((pass) => steps.filter(({ op }) => op === pass).length)

    for (const [name, cost, inTraining, inInference] of [
      // By op: statistics, close, gradient, apply. An SK unit reads through the norm before it and closes its gradient in any case.
      ['dear: convolutions work for batch norms', 1, [0, 1, 0, 2], [0, 0, 0, 0]],
      ['cheap: batch norms work for themselves', 0, [4, 2, 4, 2], [0, 0, 0, 4]],
    ] as const) {
      it(`which is ${name}, with the same numbers`, () => {
        // Twice: the first plan weighs by other times and may ask for other problems.
        for (let round = 0; round < 3; round++) {
          for (const mode of ['block', 'infer'] as const) planSteps(bottlenecks, mode)
          doctor(folder, (problem) =>
            passes.some((pass) => problem.startsWith(pass)) ? cost : /statistics|y_norm|dy_norm|close/.test(problem) ? 0.5 : 0.25,
          )
        }
        const result = run(bottlenecks)
        compareBlock(name, bottlenecks, drawn, result)
        expect(countPasses(result.steps)).to.deep.equal(inTraining)
        expect(countPasses(planSteps(bottlenecks, 'infer'))).to.deep.equal(inInference)
        const weighed = result.steps.find(({ op, layer }) => op === 'conv2d_forward' && layer === 'one.a')!
        expect(weighed.note).to.equal(
          cost === 1
            ? 'batch_norm_statistics in passing: 500.0000 ms, in a pass of its own 1250.0000 ms'
            : 'batch_norm_statistics in a pass of its own: 250.0000 ms, in passing 500.0000 ms',
        )
      })
    }

    it('of an SK unit, that a convolution makes of the branches instead: forward, and again in backward', () => {
      const unit: LayerCase = {
        name: 'a unit and a convolution',
        input: [2, 4, 3, 8],
        layers: [l.skUnit('u', 'input', 8, l.dilatedBranches(2, 4), 4), l.conv2d('a', 'u', 12)],
      }
      const selects = (steps: readonly PlanStep[]) => steps.filter(({ op }) => op === 'sk_select_forward')
      // By how much reading the branches is slower, in passes: two are spared in training, one in inference.
      for (const [slower, inTraining, inInference, note] of [
        [0.9, 0, 0, 'sk_select_forward in passing: 860.0000 ms, in a pass of its own 900.0000 ms'],
        [1.1, 2, 1, 'sk_select_forward in a pass of its own: 900.0000 ms, in passing 940.0000 ms'],
      ] as const) {
        for (let round = 0; round < 2; round++) {
          for (const mode of ['block', 'infer'] as const) planSteps(unit, mode)
          doctor(folder, (problem) =>
            problem.startsWith('sk_select') ? 0.2 : problem.includes('x_branches2') ? 0.25 + slower * 0.2 : 0.25,
          )
        }
        const drawnUnit = drawCase(unit)
        const { steps, ...result } = run(unit)
        compareBlock(note, unit, drawnUnit, { steps, ...result })
        expect(selects(steps)).to.have.lengthOf(inTraining)
        expect((selects(steps)[0] ?? steps.find(({ op }) => op === 'conv2d_forward')!).note).to.equal(note)
        expect(selects(planSteps(unit, 'infer'))).to.have.lengthOf(inInference)
      }
    })

    it('by real times, with the same numbers', () => {
      compareBlock('timed', bottlenecks, drawn, run(bottlenecks))
    })
  })

  describe('a cache file', () => {
    const damages: [string, (text: string) => string][] = [
      ['is cut off', (text) => text.slice(0, text.lastIndexOf('end'))],
      ['lacks a line', (text) => text.split('\n').toSpliced(2, 1).join('\n')],
      ['holds no number', (text) => text.replace(/\tgemm\t[\d.e-]+/, '\tgemm\tfast')],
      ['is of another environment', (text) => text.replace('emulated device 0', 'another device')],
      ['is of another format', (text) => text.replace('candidates, 2', 'candidates, 3')],
      ['is empty', () => ''],
    ]
    for (const [name, damage] of damages) {
      it(`that ${name} is made again`, () => {
        planSteps(wide, 'infer', { precision: 'bf16' })
        doctor(folder, () => 0.25)
        const problems = [...readCache(folder).keys()]
        writeFileSync(cacheFile(folder), damage(readFileSync(cacheFile(folder), 'utf8')))
        const { trials } = planSteps(wide, 'infer', { precision: 'bf16' })[0]!
        for (const { seconds } of trials) expect(seconds).to.be.below(0.25)
        expect([...readCache(folder).keys()]).to.deep.equal(problems)
      })
    }

    it('lies in XDG_CACHE_HOME where nothing else is said', () => {
      const before = process.env.XDG_CACHE_HOME
      delete process.env.SKNET_CUDA_CACHE
      process.env.XDG_CACHE_HOME = folder
      try {
        planSteps(wide, 'infer', { precision: 'bf16' })
        expect(readCache(path.join(folder, 'sknet')).size).to.equal(2)
      } finally {
        if (before === undefined) delete process.env.XDG_CACHE_HOME
        else process.env.XDG_CACHE_HOME = before
      }
    })

    it('that cannot be, or shall not be, is no failure and is told', () => {
      mkdirSync(folder)
      const file = path.join(folder, 'file')
      writeFileSync(file, '')
      for (const [value, words] of [
        [path.join(file, 'below'), `times are not kept: ${file}/below cannot be written to`],
        ['0', 'times are not kept: SKNET_CUDA_CACHE=0'],
      ] as const) {
        process.env.SKNET_CUDA_CACHE = value
        const [step] = planSteps(wide, 'infer', { precision: 'bf16' })
        expect(step!.trials).to.have.lengthOf(2)
        expect(step!.note).to.equal(words)
      }
    })
  })

  it('not with SKNET_CUDA_TIMING=0, nor on the emulated device unless asked', () => {
    for (const value of ['0', undefined]) {
      if (value === undefined) delete process.env.SKNET_CUDA_TIMING
      else process.env.SKNET_CUDA_TIMING = value
      const steps = planSteps(wide, 'block', { precision: 'bf16' })
      for (const { op, candidate, trials, note } of steps) {
        expect({ trials, note }).to.deep.equal({ trials: [], note: '' })
        if (op.startsWith('conv2d')) expect(candidate).to.equal('warpgroup')
      }
    }
  })

  /** The steps of an SK unit in a process of its own, in which a call fails. */
  function unitWith(failure: string): PlanStep[] {
    const script = `
      const { native } = await import('./lib/native.ts')
      const l = await import('./test/support/layers.ts')
      const unit = l.skUnit('u', 'input', 16, l.dilatedBranches(2, 4), 8)
      const input = { height: 4, width: 9, channels: 16 }
      const plan = new (native().Plan)({ layers: [unit], input, mode: 'block', shardSize: 2, shards: 1, threads: 1, fuse: false, device: 'cuda-emulated' })
      plan.blockForward(new Float32Array(2 * 4 * 9 * 16))
      console.log(JSON.stringify(plan.steps()))`
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      cwd: root,
      env: { ...process.env, SKNET_SIMT_FAIL: failure },
      encoding: 'utf8',
    })
    expect(stderr).to.equal('')
    return JSON.parse(stdout) as PlanStep[]
  }

  it('memory that is too small leaves a problem to the order of the registry', () => {
    const backward = unitWith('cudaMalloc:2').find(({ op }) => op === 'sk_split_backward')!
    expect(backward.candidate).to.equal('fused')
    expect(backward.trials).to.deep.equal([])
    expect(backward.note).to.match(/^not timed: the device's memory is too small for \d+ MiB of operands$/)
  })

  it('a candidate that fails when tried is left out, and says so', () => {
    const backward = unitWith('launch:701').find(({ op }) => op === 'sk_split_backward')!
    expect(backward.candidate).to.equal('grouped')
    expect(backward.trials, 'nobody is left to compare with').to.deep.equal([])
    expect(backward.refused[0]!.candidate).to.equal('composed')
    expect(backward.refused.at(-1)!.candidate).to.equal('fused')
    expect(backward.refused.at(-1)!.reason).to.match(/^failed when tried: CUDA, trying a candidate: cudaErrorLaunchOutOfResources/)
  })
})
