/** `sknet pack` as a user has it: pack, stop, go on, verify, train and measure from the shards. */
import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { bar } from '../../lib/cli/pack.js'
import { writeCifar } from './cifar-files.js'
import { sknet, start, temporaryFolder } from './cli.js'

describe('sknet pack', function () {
  this.timeout(120_000)
  const folder = temporaryFolder()
  const at = (...names: string[]) => join(folder.path(), ...names)

  it('packs both splits; the shards are verified, measured and trained on', async () => {
    const data = await writeCifar(at('data'), { train: 64, val: 20 })
    const packed = await sknet('pack', '--data', data, '--out', at('out'), '--verify', '--json')
    expect(packed.code, packed.stderr).to.equal(0)
    expect(packed.last).to.deep.include({ type: 'result', verified: { shards: 2, images: 84 } })
    expect(packed.last.train).to.include({ images: 64, shards: 1 })
    expect(await readdir(at('out', 'val'))).to.deep.equal(['pack.json', 'val-000000.tar', 'val-000000.tar.index'])

    const measured = await sknet('bench', '--loader', '--data', at('out'), '--images', '64', '--warmup', '0', '--json')
    expect(measured.code, measured.stderr).to.equal(0)
    expect(measured.last).to.include({ data: 'shards', images: 64, bad: 0 })

    const train = (from: string) => [
      'train',
      '--data',
      from,
      '--model',
      'sknet_tiny_cifar',
      '--recipe',
      'cifar',
      '--epochs',
      '1',
      '--batch',
      '16',
      '--json',
    ]
    const trained = await sknet(...train(at('out')))
    expect(trained.code, trained.stderr).to.equal(0)
    expect(trained.last).to.include({ steps: 4, badSamples: 0, classes: 10 })
  })

  it('goes on after SIGTERM with the shards that are whole, and ends with the same bytes', async () => {
    const data = await writeCifar(at('data'), { train: 2000, val: 0 })
    const line = (out: string) => [
      'pack',
      '--data',
      data,
      '--split',
      'train',
      '--out',
      out,
      '--mode',
      'jpeg',
      '--shard-size',
      '1',
      '--threads',
      '1',
      '--json',
    ]
    expect((await sknet(...line(at('whole')))).code).to.equal(0)
    const first = start(line(at('out')))
    await first.seen(({ type }) => type === 'pack-shard')
    first.child.kill('SIGTERM')
    const stopped = await first.done
    expect([0, 143]).to.include(stopped.code)
    const second = await sknet(...line(at('out')))
    expect(second.code, second.stderr).to.equal(0)
    expect(second.events[0]).to.include({ type: 'pack-resumed' })
    for (const name of await readdir(at('whole', 'train'))) {
      expect((await readFile(at('out', 'train', name))).equals(await readFile(at('whole', 'train', name))), name).to.equal(true)
    }
  })

  it('damage: 3, naming the shard; a full budget of unreadable images: 3; nothing to do: 2', async () => {
    const data = await writeCifar(at('data'), { train: 16, val: 16 })
    expect((await sknet('pack', '--data', data, '--out', at('out'))).code).to.equal(0)
    const tar = at('out', 'train', 'train-000000.tar')
    const bytes = await readFile(tar)
    bytes[1000]! ^= 1
    await writeFile(tar, bytes)
    const verified = await sknet('pack', '--out', at('out'), '--verify', '--json')
    expect([verified.code, verified.last.code, verified.last.path]).to.deep.equal([3, 'ERR_SKNET_DATA', tar])
    expect((await sknet('pack', '--out', at('out'))).code).to.equal(2)
    expect((await sknet('pack', '--data', data)).code).to.equal(2)
    expect((await stat(tar)).size).to.equal(bytes.length)
  })

  it('draws a bar', () => {
    expect(bar('val', 50, 200, 30, 3)).to.equal('val [#######.......................] 50/200  10 img/s  ETA 0:15')
    expect(bar('val', 0, 0, 0, 0)).to.include('0/0')
  })
})
