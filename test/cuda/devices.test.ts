/** What is said where there is no device to run on: typed, with the next step to take, and the CPU goes on. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { native } from '../../lib/native.js'
import { start, type Outcome } from '../e2e/cli.js'
import { hasEmulatedDevice } from '../support/devices.js'
import { root } from '../structure/tree.js'
import { temporaryFolder } from '../support/temp.js'

const small = ['--model', 'sknet_tiny_cifar', '--batch', '4', '--size', '8', '--steps', '1', '--warmup', '0', '--json']

function bench(device: string, env: NodeJS.ProcessEnv): Promise<Outcome> {
  return start(['bench', ...small, '--device', device], { env }).done
}

function refused(outcome: Outcome, words: RegExp): void {
  expect(outcome.code, outcome.stderr).to.equal(2)
  expect(outcome.last).to.include({ type: 'error', code: 'ERR_SKNET_DEVICE', option: 'device' })
  expect(outcome.last.message).to.match(words)
}

/** Plans of one convolution with these batches and shards on a device of 1 MiB, and what the first line of each error was. */
const oomScript = `
const { native } = await import('./lib/native.ts')
const layers = [
  { op: 'conv2d', name: 'a', inputs: ['input'], out: 8, kernel: 3, stride: 1, padding: 1, dilation: 1, groups: 1, bias: false },
  { op: 'conv2d', name: 'b', inputs: ['a'], out: 3, kernel: 16, stride: 1, padding: 0, dilation: 1, groups: 1, bias: false },
]
const optimizer = { momentum: 0, nesterov: false, gradClip: 0, emaDecay: 0, weightDecay: new Float64Array(2) }
for (const [shardSize, shards] of [[64, 1], [64, 2], [4, 1]]) {
  try {
    const input = { height: 16, width: 16, channels: 3 }
    const options = { layers, input, mode: 'train', shardSize, shards, threads: 1, optimizer, device: 'cuda-emulated' }
    if (shards === 1) console.log(JSON.stringify({ bytes: native().planMemory(options).total }))
    const plan = await native().openPlan(options)
    const chunk = await plan.trainBatch(new Float32Array(shardSize * 768), new Int32Array(shardSize), 0.1)
    console.log(JSON.stringify({ steps: chunk.steps }))
  } catch ({ code, option, got, expected, message }) {
    console.log(JSON.stringify({ code, option, got, expected, message }))
  }
}`

describe('devices', function () {
  const temporary = temporaryFolder()

  it('names no other than there are', () => {
    for (const device of ['gpu', 'cuda:', 'cuda:x', 'cuda:-1', 'CUDA']) {
      const build = () =>
        new (native().Plan)({
          layers: [],
          input: { height: 1, width: 1, channels: 1 },
          mode: 'infer',
          shardSize: 1,
          shards: 1,
          threads: 1,
          device,
        })
      expect(build, device).to.throw().with.property('code', 'ERR_SKNET_DEVICE')
    }
  })

  if (!hasEmulatedDevice()) {
    it('the emulated device is not built')
    return
  }

  const cases: [string, NodeJS.ProcessEnv, RegExp][] = [
    ['no driver', { SKNET_SIMT_DRIVER: 'none' }, /no NVIDIA driver/],
    [
      'an old driver, with both versions',
      { SKNET_SIMT_DRIVER: 'old' },
      /driver is too old: it knows CUDA \d+\.\d+, this build needs \d+\.\d+/,
    ],
    ['no device', { SKNET_SIMT_DRIVER: 'no-device' }, /finds no device/],
    ['a device that is too old', { SKNET_SIMT_CAPABILITY: '7.5' }, /compute capability 7\.5 is below 8\.0/],
  ]
  for (const [name, env, words] of cases) {
    it(`refuses with ${name}`, async () => {
      refused(await bench('cuda-emulated', env), words)
    })
  }

  it('tells in doctor what is wrong, and works', async () => {
    const outcome = await start(['doctor', '--json'], { env: { SKNET_SIMT_DRIVER: 'old' } }).done
    expect(outcome.code).to.equal(0)
    const devices = outcome.last.devices as { name: string; available: boolean; reason: string | null }[]
    expect(devices.find(({ name }) => name === 'cpu')).to.include({ available: true })
    expect(devices.find(({ name }) => name === 'cuda-emulated')).to.include({ available: false })
    expect(devices.find(({ name }) => name === 'cuda-emulated')!.reason).to.match(/too old/)
  })

  it('describes a device that can be used', () => {
    const [device] = native().plugin('cuda-emulated').devices
    expect(device).to.include({ index: 0, reason: null })
    expect(device!.name).to.be.a('string').and.not.equal('')
    expect(device!.bytes).to.be.greaterThan(0)
  })

  it('finds no plugin in another folder, one that is none, and one of another version', async function () {
    const folder = temporary()
    const entry = (body: string) => `extern "C" const void* sknet_plugin_entry(unsigned version) { ${body} }`
    const files: [string, string | null, RegExp][] = [
      ['missing', null, /is not there/],
      ['text', 'not an ELF file', /cannot be loaded/],
      ['stranger', 'extern "C" int other() { return 0; }', /is no plugin of sknet/],
      ['newer', entry('return nullptr;'), /does not speak version/],
      [
        'older',
        entry('static struct { unsigned version; const char* build; } api; api = {version, "0.0.1"}; return &api;'),
        /of version 0\.0\.1/,
      ],
    ]
    for (const [name, text, words] of files) {
      const dir = path.join(folder, name)
      mkdirSync(dir)
      const library = path.join(dir, 'sknet_cuda_emulated.so')
      if (name === 'text') writeFileSync(library, text!)
      else if (text !== null) {
        const source = path.join(dir, 'plugin.cc')
        writeFileSync(source, text)
        if (spawnSync('c++', ['-shared', '-fPIC', source, '-o', library]).status !== 0) this.skip()
      }
      refused(await bench('cuda-emulated', { SKNET_PLUGIN_DIR: dir }), words)
    }
  })

  it('tells which batch or shard would fit where memory is short, and runs that', () => {
    const env = { ...process.env, SKNET_SIMT_MEMORY: String(2 ** 20) }
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', oomScript], {
      cwd: root,
      env,
      encoding: 'utf8',
    })
    expect(stderr).to.equal('')
    const [needed, whole, sharded, enough, fits] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, string>)
    // What a plan takes is told without taking it.
    expect(Number(needed!.bytes)).to.be.greaterThan(2 ** 20)
    expect(whole!.message).to.include(`needs ${Math.ceil(Number(needed!.bytes) / 2 ** 20)} MiB`)
    expect(Number(enough!.bytes)).to.be.at.most(2 ** 20)
    expect(whole).to.include({ code: 'ERR_SKNET_OOM', option: 'batchSize', got: '64' })
    expect(whole!.expected).to.match(/^a batchSize of at most \d+$/)
    expect(Number(whole!.expected!.split(' ').at(-1))).to.be.within(4, 63)
    expect(sharded).to.include({ code: 'ERR_SKNET_OOM', option: 'batchSize', got: '128' })
    expect(sharded!.expected).to.match(/^a shardSize of at most \d+$/)
    expect(whole!.message).to.match(/needs \d+ MiB, \d+ MiB of \d+ MiB are free/)
    expect(fits).to.deep.equal({ steps: 1 })
  })
})
