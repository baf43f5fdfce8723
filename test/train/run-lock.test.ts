import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SknetError } from '../../lib/errors.js'
import { runFolder } from '../../lib/train/run-folder.js'
import { lockRun } from '../../lib/train/run-lock.js'

describe('run lock', () => {
  let dir: string
  const path = (): string => join(dir, '.lock')
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sknet-lock-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  const lock = (patience = 100) => lockRun(runFolder(dir), patience)
  const refusal = async (): Promise<SknetError> => {
    const error = await lock().then(
      () => new Error('the run was locked twice'),
      (e: unknown) => e,
    )
    expect(error).to.be.instanceOf(SknetError)
    return error as SknetError
  }
  const mine = async (): Promise<Record<string, unknown>> => JSON.parse(await readFile(path(), 'utf8')) as Record<string, unknown>

  it('is there until it is released, and one holder is enough', async () => {
    const first = await lock()
    expect(await mine()).to.include({ pid: process.pid })
    const error = await refusal()
    expect(error).to.include({ code: 'ERR_SKNET_RUN', path: dir, exitCode: 2 })
    expect(error.message).to.equal(`The run in ${dir} is in use by this process`)
    await first.release()
    expect(await readdir(dir)).to.deep.equal([])
    await (await lock()).release()
  })

  it('of a living process is respected, of a killed one taken over', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    try {
      const held = await lock()
      const place = (await mine()).place
      await held.release()
      const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8')
      const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!
      const write = (holder: object) => writeFile(path(), JSON.stringify(holder))

      await write({ pid: child.pid, start, place, since: 'noon' })
      expect((await refusal()).message).to.match(new RegExp(`in use by process ${child.pid}, which began at noon`))
      // The same number, given to another process since.
      await write({ pid: child.pid, start: '1', place, since: 'noon' })
      await (await lock()).release()

      await write({ pid: child.pid, start, place, since: 'noon' })
      child.kill('SIGKILL')
      await once(child, 'exit')
      await (await lock()).release()
      expect(await readdir(dir)).to.deep.equal([])
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('from elsewhere holds as long as it gives signs of life', async () => {
    await writeFile(path(), JSON.stringify({ pid: 1, start: '1', place: 'far-away boot pid:[1]', since: 'noon' }))
    const beat = setInterval(() => void utimes(path(), new Date(), new Date()), 20)
    try {
      expect((await refusal()).message).to.match(/process 1 on far-away/)
    } finally {
      clearInterval(beat)
    }
    await sleep(50)
    await (await lock()).release()
  })

  it('that was cut short is taken over', async () => {
    await writeFile(path(), '{"pid": 3')
    const held = await lock()
    expect(await mine()).to.include({ pid: process.pid })
    await held.release()
  })

  it('lets one of many at once through', async () => {
    await writeFile(path(), '')
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => lock()))
    const held = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    expect(held).to.have.length(1)
    for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).to.have.property('code', 'ERR_SKNET_RUN')
    await held[0]!.release()
  })

  it('that cannot be written is a checkpoint error', async () => {
    const error = await lockRun(runFolder(join(dir, 'missing'))).catch((e: unknown) => e)
    expect(error).to.include({ code: 'ERR_SKNET_CHECKPOINT_IO', path: join(dir, 'missing', '.lock') })
  })
})
