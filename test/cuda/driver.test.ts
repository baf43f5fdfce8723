/** The driver that stands in for Node on machines with a GPU and little else, on the emulated device. */
import { expect } from 'chai'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bottleneckCases } from '../support/fragments.js'
import { temporaryFolder } from '../support/temp.js'
import { casesText, networksText, networkText } from './driver/dump.js'

const driver = join(import.meta.dirname, '../../build/Release/sknet-driver')

describe('driver', function () {
  this.timeout(300_000)
  const folder = temporaryFolder()

  before(function () {
    if (!existsSync(driver)) this.skip()
  })

  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(driver, args, { encoding: 'utf8' })
    const lines = stdout.split('\n').filter((line) => line !== '')
    return { status, stderr, events: lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
  }
  const file = (text: string, name = 'networks.txt'): string => {
    const path = join(folder(), name)
    writeFileSync(path, text)
    return path
  }
  const [images, height, width, channels] = bottleneckCases[0]!.input
  const small = () => file(networkText(bottleneckCases[0]!.name, bottleneckCases[0]!.layers, { images, height, width, channels }))

  it('reads what the library says today', () => {
    const read = (name: string): string => readFileSync(join(import.meta.dirname, 'driver', name), 'utf8')
    expect(read('networks.txt')).to.equal(networksText())
    expect(read('cases.txt')).to.equal(casesText())
  })

  it('compares the emulated device with the CPU, and with itself', () => {
    for (const reference of ['cpu', 'cuda-emulated']) {
      const { status, events } = run('check', small(), '--device', 'cuda-emulated', '--reference', reference)
      expect(events.filter(({ type, held }) => type === 'comparison' && held !== true)).to.deep.equal([])
      expect(events.at(-1)).to.include({ type: 'result', reference, failed: 0 })
      expect(events.length).to.be.at.least(9)
      expect(status).to.equal(0)
    }
  })

  const network = { images: 2, height: 8, width: 8, channels: 3 }
  const layers = [
    { op: 'conv2d', name: 'a', inputs: ['input'], out: 8, kernel: 3, stride: 1, padding: 1, dilation: 1, groups: 1, bias: false },
    { op: 'global_avg_pool', name: 'p', inputs: ['a'] },
    { op: 'linear', name: 'fc', inputs: ['p'], out: 5, bias: true },
  ] as const

  it('trains a device on bytes, to what the floats give that come of them', () => {
    const { status, events } = run(
      'check',
      file(networkText('small', layers as never, network)),
      '--device',
      'cuda-emulated',
      '--reference',
      'cuda-emulated',
    )
    const bytes = events.filter(({ what }) => what === 'bytes')
    expect(bytes.map(({ precision, error, limit }) => [precision, error, limit])).to.deep.equal([
      ['fp32', 0, 0],
      ['bf16', 0, 0],
    ])
    expect(status).to.equal(0)
  })

  it('trains whole networks for a bench', () => {
    const path = file(networkText('small', layers as never, network))
    const args = ['bench', path, '--device', 'cpu', '--batch', '4', '--steps', '5', '--warmup', '2', '--precision', 'fp32']
    const { status, events } = run(...args, '--network', 'small')
    expect(status).to.equal(0)
    expect(events.at(-1)).to.include({ type: 'result', network: 'small', device: 'cpu', batch: 4, mode: 'train' })
    expect(events.at(-1)!.imagesPerSecond).to.be.a('number').above(0)
    for (const images of ['bytes', 'floats']) {
      const onDevice = run(...args, '--network', 'small', '--device', 'cuda-emulated', '--images', images)
      expect(onDevice.events.at(-1), images).to.include({ type: 'result', device: 'cuda-emulated', mode: 'train' })
    }
    expect(run(...args, '--network', 'other').stderr).to.match(/no network other in the file/)
  })

  it('says what is wrong with its arguments', () => {
    expect(run().status).to.equal(2)
    const words: [string[], RegExp][] = [
      [['check', '/nowhere'], /\/nowhere cannot be read/],
      [['check', file('network a 1 1 1 1\nconv2d x input out=three\n', 'bad.txt')], /bad\.txt:2: no layer: conv2d x input out=three/],
      [['check', file('', 'empty.txt')], /holds no network/],
      [['check', small(), '--device'], /no flag with a value: --device/],
      [['check', small(), '--device', 'tpu'], /device: unknown 'tpu'/],
    ]
    for (const [args, message] of words) {
      const { status, stderr } = run(...args)
      expect([status, stderr]).to.satisfy(([code, text]: [number, string]) => code === 2 && message.test(text), stderr)
    }
  })
})
