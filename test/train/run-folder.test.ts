import { expect } from 'chai'
import { mkdtemp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SknetError } from '../../lib/errors.js'
import type { EpochEvent, WarningEvent } from '../../lib/train/events.js'
import { addResult, clearRunFolder, describeRun, logEvents, prepareRunFolder, runFolder, trimResults } from '../../lib/train/run-folder.js'

const epoch = (n: number, top1: number | null = n / 10): EpochEvent => ({
  type: 'epoch',
  epoch: n,
  step: 10 * n,
  lr: 0.1,
  loss: 2 / n,
  accuracy: 0.5,
  top1,
  top5: top1,
  valLoss: top1 === null ? null : 1,
  raw: null,
  best: true,
  seconds: 1,
  waitSeconds: 0,
  waitShare: 0.25,
  imagesPerSecond: 100,
  badSamples: [{ path: 'a.jpg', reason: 'cut short', split: 'val' }],
})

describe('run folder', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sknet-run-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  const results = async (): Promise<string[]> => (await readFile(join(dir, 'results.csv'), 'utf8')).trimEnd().split('\n')

  it('is created, probed, and left without the probe', async () => {
    const folder = runFolder(join(dir, 'a', 'b'))
    await prepareRunFolder(folder)
    expect(await readdir(folder.dir)).to.deep.equal(['checkpoints'])
  })

  it('that cannot be made is a checkpoint I/O error, exit 7', async () => {
    await writeFile(join(dir, 'file'), '')
    const error: unknown = await prepareRunFolder(runFolder(join(dir, 'file', 'run'))).catch((e: unknown) => e)
    expect(error).to.be.instanceOf(SknetError)
    expect(error).to.include({ code: 'ERR_SKNET_CHECKPOINT_IO', exitCode: 7, path: join(dir, 'file', 'run') })
  })

  it('keeps one row an epoch, and one only when an epoch is done again', async () => {
    const folder = runFolder(dir)
    for (const n of [1, 2, 3]) await addResult(folder, epoch(n))
    await addResult(folder, epoch(2, 0.99))
    expect((await results()).map((line) => line.split(',')[0])).to.deep.equal(['epoch', '1', '2'])
    expect((await results())[2]).to.include('0.99')
  })

  it('drops the rows after the epoch a run goes on from', async () => {
    const folder = runFolder(dir)
    await trimResults(folder, 0)
    for (const n of [1, 2, 3]) await addResult(folder, epoch(n))
    await trimResults(folder, 2)
    expect((await results()).map((line) => line.split(',')[0])).to.deep.equal(['epoch', '1', '2'])
    await trimResults(folder, 0)
    expect(await results()).to.have.length(1)
  })

  it('leaves a cell empty where nothing was measured', async () => {
    await addResult(runFolder(dir), epoch(1, null))
    const [header, row] = await results()
    const cells = Object.fromEntries(header!.split(',').map((name, i) => [name, row!.split(',')[i]]))
    expect(cells).to.include({ epoch: '1', top1: '', valLoss: '', rawTop1: '', loss: '2', waitShare: '0.25', badSamples: '1' })
  })

  it('appends events, one JSON object a line', async () => {
    const folder = runFolder(dir)
    const warning: WarningEvent = { type: 'warning', about: 'bad-sample', message: 'a\nb' }
    await logEvents(folder, [epoch(1), warning])
    await logEvents(folder, [])
    await logEvents(folder, [epoch(2)])
    const lines = (await readFile(join(dir, 'events.ndjson'), 'utf8')).trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).to.deep.equal(['epoch', 'warning', 'epoch'])
  })

  it('describes the run and its machine', async () => {
    const folder = runFolder(dir)
    await describeRun(folder, { model: 'sknet26', epochs: 3 }, { sknet: '1.2.3' })
    expect(JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'))).to.deep.equal({ model: 'sknet26', epochs: 3 })
    expect(JSON.parse(await readFile(join(dir, 'env.json'), 'utf8'))).to.include({ sknet: '1.2.3', node: process.version })
  })

  it('when cleared loses what a run wrote, and nothing else', async () => {
    const folder = runFolder(dir)
    await prepareRunFolder(folder)
    await mkdir(join(folder.checkpoints, 'step-00000001'))
    await mkdir(folder.best)
    await addResult(folder, epoch(1))
    await writeFile(join(dir, 'notes.txt'), 'mine')
    await clearRunFolder(folder)
    expect((await readdir(dir)).sort()).to.deep.equal(['checkpoints', 'notes.txt'])
    expect(await readdir(folder.checkpoints)).to.deep.equal([])
  })
})
