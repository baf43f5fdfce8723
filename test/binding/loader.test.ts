/** The native Loader and Source: misuse, disposal, and the end of a Worker or process while batches are on their way and plans are made. */
import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { callNative, native } from '../../lib/native.js'
import type { Loader, LoaderOptions, SourceOptions } from '../../lib/native.js'
import { errorOf } from '../data/helpers.js'
import { root } from '../structure/tree.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { identity, inOrder } from '../support/transforms.js'

const options: LoaderOptions = {
  ...inOrder,
  batchSize: 16,
  shuffle: true,
  transform: { ...identity, height: 32, width: 32, geometry: 'pad_crop', pad: 4, flip: 0.5 },
  threads: 2,
}

function synthetic(count = 1000) {
  const { Source } = native()
  return new Source({ kind: 'synthetic', count, classes: 10, size: 32, seed: 0 })
}

function open(changes: Partial<LoaderOptions> = {}): Loader {
  return callNative(({ Loader }) => new Loader(synthetic(), { ...options, ...changes }))
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error as { code: string }).code,
  )
}

describe('native Loader', () => {
  it('takes one call at a time and goes on afterwards', async () => {
    const loader = open()
    const first = loader.next()
    expect(await codeOf(loader.next())).to.equal('ERR_SKNET_BUSY')
    expect((await first)!.labels).to.have.length(16)
    expect((await loader.next())!.labels).to.have.length(16)
    loader.dispose()
  })

  it('ends a waiting call when it is disposed, and refuses later ones', async () => {
    const loader = open({ batchSize: 1000 })
    const waiting = codeOf(loader.next())
    loader.dispose()
    expect(await waiting).to.equal('ERR_SKNET_DISPOSED')
    expect(await codeOf(loader.next())).to.equal('ERR_SKNET_DISPOSED')
    loader.dispose()
    expect(loader.remaining).to.equal(0)
  })

  it('keeps its source alive', async () => {
    const loader = open()
    const { gc } = globalThis as { gc?: () => void }
    for (let i = 0; i < 5; i++) {
      gc?.()
      expect((await loader.next())!.images).to.have.length(16 * 32 * 32 * 3)
    }
    loader.dispose()
  })

  it('says how much memory does not fit', async () => {
    const transform = { ...options.transform, height: 60000, width: 60000 }
    const source = synthetic(2 ** 20)
    const error = await errorOf(() =>
      callNative(({ Loader }) => new Loader(source, { ...options, batchSize: 2 ** 20, ahead: 100, transform })),
    )
    expect(error.code).to.equal('ERR_SKNET_OOM')
    expect(error.got).to.match(/^\d+ bytes$/)
  })

  const wrongOptions: [option: string, changes: Record<string, unknown>][] = [
    ['batchSize', { batchSize: 0 }],
    ['batchSize', { batchSize: '16' }],
    ['batchSize', { batchSize: undefined }],
    ['seed', { seed: -1 }],
    ['seed', { seed: Infinity }],
    ['shuffle', { shuffle: 1 }],
    ['onBadSample', { onBadSample: 'never' }],
    ['transform', { transform: null }],
    ['transform.geometry', { transform: { ...options.transform, geometry: 'rotate' } }],
    ['transform.area', { transform: { ...options.transform, area: [1] } }],
    ['transform.mean[1]', { transform: { ...options.transform, mean: [0, NaN, 0] } }],
    ['transform.height', { transform: { ...options.transform, height: 2 ** 20 } }],
  ]
  for (const [option, changes] of wrongOptions) {
    it(`refuses ${option}: ${JSON.stringify(changes).slice(0, 60)}`, async () => {
      const error = await errorOf(() => open(changes))
      expect(error).to.include({ code: 'ERR_SKNET_NATIVE', option })
      expect(error.message).to.include(option)
    })
  }

  const wrongSources: [option: string | undefined, source: unknown][] = [
    ['options', undefined],
    ['kind', { kind: 'tar' }],
    ['files', { kind: 'cifar', files: 'a.bin', labelBytes: 1, labelByte: 0 }],
    ['files[1]', { kind: 'cifar', files: ['/dev/null', 3], labelBytes: 1, labelByte: 0 }],
    ['labels', { kind: 'files', paths: ['a'], labels: [0], maxPixels: 1 }],
    [undefined, { kind: 'files', paths: ['a'], labels: new Int32Array(2), maxPixels: 1 }],
    ['images', { kind: 'memory', images: new Float32Array(3), labels: new Int32Array(1), height: 1, width: 1 }],
    [undefined, { kind: 'memory', images: new Uint8Array(4), labels: new Int32Array(1), height: 1, width: 1 }],
    ['seed', { kind: 'synthetic', count: 1, classes: 2, size: 8, seed: 0.5 }],
  ]
  for (const [option, source] of wrongSources) {
    it(`refuses a source ${JSON.stringify(source)?.slice(0, 70)}`, async () => {
      const error = await errorOf(() => callNative(({ Source }) => new Source(source as SourceOptions)))
      expect([error.code, error.option]).to.deep.equal(['ERR_SKNET_NATIVE', option])
    })
  }

  it('refuses other objects where a Source or Loader is meant', async () => {
    const loader = open()
    for (const other of [undefined, {}, loader, new Uint8Array(1)]) {
      const error = await errorOf(() => callNative(({ Loader }) => new Loader(other as never, options)))
      expect(error).to.include({ code: 'ERR_SKNET_NATIVE', option: 'source' })
    }
    const stolen = Reflect.get(native().Loader.prototype, 'next') as () => Promise<unknown>
    expect(() => stolen.call({})).to.throw()
    loader.dispose()
  })

  it('does not read a detached buffer', async () => {
    const images = new Uint8Array(12)
    structuredClone(images.buffer, { transfer: [images.buffer] })
    const source = { kind: 'memory', images, labels: new Int32Array(1), height: 2, width: 2 } as const
    expect((await errorOf(() => callNative(({ Source }) => new Source(source)))).code).to.equal('ERR_SKNET_NATIVE')
  })
})

const require = createRequire(import.meta.url)
/** Plain JavaScript, so that a Worker starts at once: loads without end until somebody stops it. */
const busyScript = `
const native = require(${JSON.stringify(require.resolve('node-gyp-build'))})(${JSON.stringify(root)})
const options = ${JSON.stringify(options)}
const source = new native.Source({ kind: 'synthetic', count: 5000, classes: 10, size: 32, seed: 0 })
async function load(dispose) {
  for (let epoch = 0; ; epoch++) {
    const loader = new native.Loader(source, { ...options, epoch })
    for (let i = 0; i < 5; i++) await loader.next()
    if (dispose) loader.dispose()
  }
}
async function decode() {
  for (;;) await native.decodeImage(Buffer.from('no image'), { maxPixels: 10 }).catch(() => {})
}
async function plan() {
  const layers = [{ op: 'conv2d', name: 'a', inputs: ['input'], out: 8, kernel: 3, stride: 1, padding: 1, dilation: 1, groups: 1, bias: false }]
  const input = { height: 32, width: 32, channels: 3 }
  for (;;) await native.openPlan({ layers, input, mode: 'infer', shardSize: 4, shards: 1, threads: 2, device: ${JSON.stringify(hasEmulatedDevice() ? emulated : 'cpu')} })
}
load(true)
load(false)
decode()
plan()
`

describe('native threads at the end of their environment', () => {
  it('survive worker.terminate() at any moment', async function () {
    this.timeout(60_000)
    for (let i = 0; i < 20; i++) {
      const worker = new Worker(`${busyScript}\nrequire('node:worker_threads').parentPort.postMessage('up')`, { eval: true })
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
      await new Promise((resolve) => setTimeout(resolve, (i * 7) % 40))
      expect(await worker.terminate()).to.equal(1)
    }
  })

  it('survive process.exit() and an uncaught error, with the right exit code', () => {
    for (const [end, status] of [
      ['setTimeout(() => process.exit(0), 40)', 0],
      ['setTimeout(() => process.exit(7), 15)', 7],
      ['setTimeout(() => { throw new Error("on purpose") }, 25)', 1],
    ] as const) {
      let exit: number | null = 0
      try {
        execFileSync(process.execPath, ['-e', `${busyScript}\n${end}`], { stdio: 'ignore' })
      } catch (error) {
        exit = (error as { status: number | null }).status
      }
      expect(exit, end).to.equal(status)
    }
  })

  it('let the process end by itself when nothing is awaited', () => {
    const script = busyScript.replace(/\nload[\s\S]*$/, '\nnew native.Loader(source, options)')
    execFileSync(process.execPath, ['-e', script], { timeout: 20_000 })
  })
})
