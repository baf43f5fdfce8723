/** Ranks that train together on cuda-emulated, a process each, with an NCCL made for it (test/vendor/fake). */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { root } from '../structure/tree.js'
import { builtProgram } from '../support/cuda-selftest.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { drawTraining, hashOf, trainNative } from '../support/train-case.js'
import { rankCase } from './ranks/case.js'

const library = builtProgram(path.join('fake', 'libnccl.so.2'))

interface Outcome {
  hash?: string
  loss?: number[]
  correct?: number[]
  error?: string
}

function lines(child: ChildProcess): AsyncIterableIterator<string> {
  return createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
}

/** What each of `count` ranks says. */
async function train(count: number, shards: number, env: NodeJS.ProcessEnv = {}): Promise<Outcome[]> {
  const start = (rank: number, id: string[]) =>
    spawn(process.execPath, ['--import', 'tsx', 'test/cuda/ranks/run.ts', ...[shards, rank, count].map(String), ...id], {
      cwd: root,
      env: { ...process.env, SKNET_NCCL_PATH: library, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
  const said = async (output: AsyncIterableIterator<string>) => JSON.parse(String((await output.next()).value)) as Outcome
  const first = lines(start(0, []))
  const id = String((await first.next()).value)
  if (id.startsWith('{')) return [JSON.parse(id) as Outcome]
  const others = Array.from({ length: count - 1 }, (_, i) => lines(start(i + 1, [id])))
  return Promise.all([first, ...others].map(said))
}

describe('ranks on cuda-emulated', function () {
  this.timeout(120_000)
  if (!hasEmulatedDevice() || !existsSync(library)) {
    it('is not built')
    return
  }

  for (const [count, shards] of [
    [2, 1],
    [3, 1],
    [2, 2],
  ] as const) {
    it(`${count} of ${shards} shards do what one of ${count * shards} does, to the same bits`, async () => {
      const alone = rankCase(shards, count)
      const expected = await trainNative(alone, drawTraining(alone, 3), { device: emulated })
      for (const env of [{}, { SKNET_CUDA_GRAPHS: '0' }]) {
        const outcomes = await train(count, shards, env)
        expect(outcomes.map(({ error }) => error)).to.deep.equal(outcomes.map(() => undefined))
        for (const { hash, loss, correct } of outcomes) {
          expect({ loss, correct }).to.deep.equal({ loss: expected.loss, correct: expected.correct })
          expect(hash).to.equal(hashOf(expected))
        }
      }
    })
  }

  it('end on all ranks when one is lost in a step', async () => {
    for (const { error } of await train(2, 1, { SKNET_FAKE_LIBRARY: 'lose' })) {
      expect(error).to.match(/^ERR_SKNET_PEER_LOST rank \d of 2, summing gradients: remote process exited \(the last rank hung up\)$/)
    }
  })

  it('are refused, all of them, where one trains otherwise', async () => {
    const said = /^ERR_SKNET_OPTION rank 2 trains another network than rank 0, or with another batch size, precision or optimizer$/
    for (const { error } of await train(3, 1, { SKNET_TEST_ODD_RANK: '2' })) expect(error).to.match(said)
  })

  it('end where the library takes no sum', async () => {
    for (const { error } of await train(2, 1, { SKNET_FAKE_LIBRARY: 'fail' })) {
      expect(error).to.match(/^ERR_SKNET_PEER_LOST rank \d of 2, (joining the other ranks|summing gradients): remote process exited$/)
    }
  })

  it('are refused, with what to do, where the library is missing or makes no id', async () => {
    const error = async (env: NodeJS.ProcessEnv) => (await train(2, 1, env))[0]!.error
    expect(await error({ SKNET_NCCL_PATH: '' })).to.match(
      /^ERR_SKNET_DEVICE several devices train together through NCCL: NCCL is not for the emulated device$/,
    )
    expect(await error({ SKNET_NCCL_PATH: '/nowhere/libnccl.so' })).to.include('/nowhere/libnccl.so: cannot open shared object file')
    expect(await error({ SKNET_FAKE_LIBRARY: 'refuse' })).to.match(/^ERR_SKNET_DEVICE NCCL, making an id for the ranks: invalid usage$/)
  })

  it('are refused on the CPU', async () => {
    const c = rankCase(1)
    let said = ''
    await trainNative(c, drawTraining(c, 1), { ranks: { count: 2, rank: 0, id: new Uint8Array(128) } }).catch((error: unknown) => {
      said = (error as { code: string }).code
    })
    expect(said).to.equal('ERR_SKNET_NATIVE')
  })
})
