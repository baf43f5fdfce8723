import { expect } from 'chai'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import {
  copyAsBest,
  findCheckpoint,
  pruneCheckpoints,
  readCheckpoint,
  scanCheckpoints,
  verifyCheckpoint,
  writeCheckpoint,
} from '../../lib/checkpoint/checkpoint.js'
import type { CheckpointContent } from '../../lib/checkpoint/checkpoint.js'
import { ioError } from '../../lib/checkpoint/files.js'
import { readSafetensors } from '../../lib/checkpoint/safetensors.js'
import { createModel } from '../../lib/model/registry.js'
import { temporaryFolder } from '../support/temp.js'
import { rejected } from '../support/thrown.js'

const files = ['manifest.json', 'model.safetensors', 'state.json', 'state.safetensors']
const model = createModel('sknet_tiny_cifar', { blocks: [1], midWidth: 16 })

/** A checkpoint whose numbers follow from `seed`. */
function content(seed: number): CheckpointContent {
  const fill = (prefix: number, kinds: string[]) =>
    new Map(
      model
        .tensors()
        .filter(({ kind }) => kinds.includes(kind))
        .map(({ name, shape }, t) => [
          name,
          new Float32Array(shape.reduce((p, s) => p * s, 1)).map((_, i) => Math.sin(seed + prefix + t + i)),
        ]),
    )
  return {
    spec: model.spec,
    tensors: model.tensors(),
    values: fill(1, ['param', 'buffer']),
    momentum: fill(2, ['param']),
    ema: fill(3, ['param', 'buffer']),
    state: { step: seed, best: null, name: 'run' },
    config: { classNames: ['a', 'b'] },
  }
}

describe('a checkpoint', () => {
  const folder = temporaryFolder()
  let dir: string
  let count = 0
  beforeEach(() => {
    dir = join(folder(), String(count++), 'checkpoints')
  })

  it('comes back as it was written', async () => {
    const path = await writeCheckpoint(dir, 1200, content(5))
    expect(path).to.equal(join(dir, 'step-00001200'))
    expect(readdirSync(path).sort()).to.deep.equal(files)
    expect(readdirSync(dir)).to.deep.equal(['step-00001200'])
    expect(await verifyCheckpoint(path)).to.deep.equal({ ok: true, problems: [] })
    const { spec, values, momentum, ema, state, config } = content(5)
    const sorted = (tensors: ReadonlyMap<string, Float32Array>) => [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))
    const read = await readCheckpoint(path)
    expect(read).to.deep.include({ path, step: 1200, spec, state, config })
    expect(sorted(read.values)).to.deep.equal(sorted(values))
    expect(sorted(read.momentum)).to.deep.equal(sorted(momentum))
    expect(sorted(read.ema!)).to.deep.equal(sorted(ema!))
  })

  it('keeps no average where the run keeps none', async () => {
    const path = await writeCheckpoint(dir, 1, { ...content(1), ema: null })
    expect((await readCheckpoint(path)).ema).to.equal(null)
  })

  it('has a model file whose bytes depend on the weights and the architecture only', async () => {
    const a = await writeCheckpoint(dir, 1, content(1))
    const b = await writeCheckpoint(dir, 2, { ...content(1), momentum: new Map(), ema: null, state: { other: 1 }, config: {} })
    const bytes = (path: string) => readFileSync(join(path, 'model.safetensors'))
    expect(bytes(a).equals(bytes(b))).to.equal(true)
    const c = await writeCheckpoint(dir, 3, content(2))
    expect(bytes(a).equals(bytes(c))).to.equal(false)
  })

  it('lists size and SHA-256 of each file in its manifest, and a hash of itself', async () => {
    const path = await writeCheckpoint(dir, 7, content(1))
    const { sha256, ...body } = JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8')) as {
      sha256: string
      step: number
      files: Record<string, { size: number; sha256: string }>
    }
    const hash = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')
    expect(body.step).to.equal(7)
    expect(Object.keys(body.files).sort()).to.deep.equal(files.slice(1))
    for (const [name, { size, sha256 }] of Object.entries(body.files)) {
      const bytes = readFileSync(join(path, name))
      expect({ size, sha256 }).to.deep.equal({ size: bytes.length, sha256: hash(bytes) })
    }
    expect(sha256).to.equal(hash(JSON.stringify(body)))
  })

  it('may be written twice, with the same or another content', async () => {
    const path = await writeCheckpoint(dir, 4, content(1))
    await writeCheckpoint(dir, 4, content(1))
    expect((await readCheckpoint(path)).state).to.include({ step: 1 })
    await writeCheckpoint(dir, 4, content(9))
    expect((await readCheckpoint(path)).state).to.include({ step: 9 })
    truncateSync(join(path, 'state.json'), 3)
    await writeCheckpoint(dir, 4, content(9))
    expect((await verifyCheckpoint(path)).ok).to.equal(true)
    expect(readdirSync(dir)).to.deep.equal(['step-00000004'])
  })

  describe('that was damaged', () => {
    /** Two checkpoints; `damage` hurts the newer one. It must be found out, passed over with a reason that names the file, and never be read. */
    async function isFound(damage: (path: string) => void, name: string): Promise<void> {
      const older = await writeCheckpoint(dir, 10, content(1))
      const newer = await writeCheckpoint(dir, 20, content(2))
      damage(newer)
      const found = await findCheckpoint(dir)
      expect(found, 'the older one').to.deep.include({ path: older, step: 10 })
      expect(found!.skipped.map(({ path }) => path)).to.deep.equal([newer])
      expect(found!.skipped[0]!.reason).to.include(name)
      const error = await rejected(() => readCheckpoint(newer))
      expect(error).to.include({ code: 'ERR_SKNET_CHECKPOINT_INVALID', path: newer, exitCode: 7 })
    }

    for (const name of files) {
      it(`is found out: ${name} cut short, at 16 lengths`, async () => {
        await isFound((path) => truncateSync(join(path, name), 0), name)
        const newer = join(dir, 'step-00000020')
        await writeCheckpoint(dir, 20, content(2))
        const whole = readFileSync(join(newer, name))
        for (let i = 1; i < 16; i++) {
          writeFileSync(join(newer, name), whole.subarray(0, Math.floor((whole.length * i) / 16)))
          expect((await verifyCheckpoint(newer)).ok, `${i}/16`).to.equal(false)
        }
        writeFileSync(join(newer, name), whole)
        expect((await verifyCheckpoint(newer)).ok, 'whole again').to.equal(true)
      })

      it(`is found out: one bit of ${name} changed, in 64 places`, async () => {
        await isFound((path) => {
          const bytes = readFileSync(join(path, name))
          bytes[0]! ^= 1
          writeFileSync(join(path, name), bytes)
        }, name)
        const newer = await writeCheckpoint(dir, 20, content(2))
        const whole = readFileSync(join(newer, name))
        for (let i = 0; i < 64; i++) {
          const bytes = Buffer.from(whole)
          bytes[Math.floor(((whole.length - 1) * i) / 63)]! ^= 1 << (i % 8)
          writeFileSync(join(newer, name), bytes)
          expect((await verifyCheckpoint(newer)).ok, `place ${i}`).to.equal(false)
        }
      })

      it(`is found out: ${name} missing`, () => isFound((path) => rmSync(join(path, name)), name))
      it(`is found out: ${name} of zeros`, () =>
        isFound((path) => writeFileSync(join(path, name), Buffer.alloc(readFileSync(join(path, name)).length)), name))
      it(`is found out: ${name} longer`, () => isFound((path) => writeFileSync(join(path, name), ' ', { flag: 'a' }), name))
    }

    it('is found out: the files of another checkpoint', () =>
      isFound((path) => cpSync(join(dir, 'step-00000010', 'model.safetensors'), join(path, 'model.safetensors')), 'model.safetensors'))

    it('is found out: two files swapped', () =>
      isFound((path) => {
        renameSync(join(path, 'model.safetensors'), join(path, 'x'))
        renameSync(join(path, 'state.safetensors'), join(path, 'model.safetensors'))
        renameSync(join(path, 'x'), join(path, 'state.safetensors'))
      }, 'state.safetensors'))

    it('tells of a newer format', () =>
      isFound((path) => {
        const text = readFileSync(join(path, 'manifest.json'), 'utf8')
        writeFileSync(join(path, 'manifest.json'), text.replace('sknet-checkpoint-1', 'sknet-checkpoint-2'))
      }, 'upgrade sknet'))
  })

  it('is passed over where every one is damaged', async () => {
    const path = await writeCheckpoint(dir, 1, content(1))
    rmSync(join(path, 'manifest.json'))
    expect(await findCheckpoint(dir)).to.equal(null)
    const scan = await scanCheckpoints(dir)
    expect(scan.newest).to.equal(null)
    expect(scan.skipped).to.have.length(1)
  })

  it('is looked for in vain where there is no folder', async () => {
    expect(await findCheckpoint(join(dir, 'none'))).to.equal(null)
  })

  it('is found by its step as a number, whatever else lies there', async () => {
    await writeCheckpoint(dir, 99_999_999, content(1))
    const path = await writeCheckpoint(dir, 100_000_000, content(2))
    mkdirSync(join(dir, 'step-last'))
    writeFileSync(join(dir, 'step-999999999.txt'), '')
    expect(await findCheckpoint(dir)).to.deep.equal({ path, step: 100_000_000, skipped: [] })
  })

  describe('after a kill', () => {
    it('leaves a temporary folder, which is no checkpoint and is removed at the next write', async () => {
      const path = await writeCheckpoint(dir, 1, content(1))
      // Process ids end at 4194304 on Linux, so this one never lives.
      const left = join(dir, '.tmp-4999999-0a1b2c3d')
      cpSync(path, left, { recursive: true })
      expect(await findCheckpoint(dir)).to.deep.include({ step: 1, skipped: [] })
      expect(existsSync(left), 'looking does not remove').to.equal(true)
      await writeCheckpoint(dir, 2, content(2))
      expect(readdirSync(dir).sort()).to.deep.equal(['step-00000001', 'step-00000002'])
    })

    it('leaves the temporary folder of a process that lives alone', async () => {
      mkdirSync(join(dir, `.tmp-${process.ppid}-0a1b2c3d`), { recursive: true })
      await writeCheckpoint(dir, 2, content(2))
      expect(readdirSync(dir)).to.include(`.tmp-${process.ppid}-0a1b2c3d`)
    })

    it('between two renames is found under its other name, and gets its own back', async () => {
      const path = await writeCheckpoint(dir, 3, content(3))
      renameSync(path, `${path}.old`)
      expect(await findCheckpoint(dir)).to.deep.include({ path: `${path}.old`, step: 3 })
      await writeCheckpoint(dir, 4, content(4))
      expect((await readCheckpoint(path)).state).to.include({ step: 3 })
      cpSync(path, `${path}.old`, { recursive: true })
      await writeCheckpoint(dir, 5, content(5))
      expect(readdirSync(dir).sort()).to.deep.equal(['step-00000003', 'step-00000004', 'step-00000005'])
    })
  })

  describe('that cannot be written', () => {
    it('says so where the folder is a file', async () => {
      writeFileSync(join(folder(), 'file'), '')
      const error = await rejected(() => writeCheckpoint(join(folder(), 'file'), 1, content(1)))
      expect(error).to.include({ code: 'ERR_SKNET_CHECKPOINT_IO', path: join(folder(), 'file', 'step-00000001'), exitCode: 7 })
      expect(error.cause).to.be.instanceOf(Error)
    })

    it('leaves older ones and no temporary folder, where a write fails half way', async () => {
      const older = await writeCheckpoint(dir, 1, content(1))
      // Files may grow to 64 KiB in this process; the model needs more.
      const script = `
        import { writeCheckpoint } from './lib/checkpoint/checkpoint.ts'
        import { createModel } from './lib/model/registry.ts'
        const { spec, tensors } = { spec: createModel('sknet_tiny_cifar').spec, tensors: createModel('sknet_tiny_cifar').tensors() }
        const values = new Map(tensors.map(({ name, shape }) => [name, new Float32Array(shape.reduce((p, s) => p * s, 1))]))
        const error = await writeCheckpoint(${JSON.stringify(dir)}, 2, { spec, tensors, values, momentum: values, state: {} }).catch((e) => e)
        const { code, path, got, message } = error
        console.log(JSON.stringify({ code, path, got, message, handles: process.getActiveResourcesInfo().filter((r) => r.includes('FILE')).length }))`
      const command = 'ulimit -f 64; exec "$0" --import tsx --input-type=module --eval "$1"'
      const out = execFileSync('bash', ['-c', command, process.execPath, script], {
        cwd: new URL('../..', import.meta.url),
        encoding: 'utf8',
      })
      const error = JSON.parse(out) as Record<string, unknown>
      expect(error).to.include({ code: 'ERR_SKNET_CHECKPOINT_IO', path: join(dir, 'step-00000002'), got: 'EFBIG', handles: 0 })
      expect(readdirSync(dir)).to.deep.equal(['step-00000001'])
      expect((await verifyCheckpoint(older)).ok).to.equal(true)
    })

    it('tells the free space where there is too little', async () => {
      const space = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
      const error = await ioError(join(folder(), 'x'), 'Cannot write', space)
      expect(error.message).to.match(/no space left on device.*\(\d+ bytes are free there\)/)
      expect(error).to.include({ code: 'ERR_SKNET_CHECKPOINT_IO', got: 'ENOSPC', cause: space })
    })

    it('is gone without a trace where a tensor is missing, and older ones stay', async () => {
      const older = await writeCheckpoint(dir, 1, content(1))
      const broken = content(2)
      const error = await rejected(() => writeCheckpoint(dir, 2, { ...broken, values: new Map([...broken.values].slice(1)) }))
      expect(error).to.include({ code: 'ERR_SKNET_INTERNAL', tensor: 'conv1.weight' })
      expect(readdirSync(dir)).to.deep.equal(['step-00000001'])
      expect((await verifyCheckpoint(older)).ok).to.equal(true)
    })

    it('says so in a folder without permission', async function () {
      if (process.getuid?.() === 0) return this.skip()
      mkdirSync(dir, { recursive: true })
      chmodSync(dir, 0o500)
      const error = await rejected(() => writeCheckpoint(dir, 1, content(1)))
      chmodSync(dir, 0o700)
      expect(error).to.include({ code: 'ERR_SKNET_CHECKPOINT_IO', got: 'EACCES' })
    })
  })

  describe('pruning', () => {
    it('keeps the newest, deletes the oldest', async () => {
      for (const step of [1, 2, 3, 4]) await writeCheckpoint(dir, step, content(step))
      expect((await pruneCheckpoints(dir, 2)).map((path) => path.slice(-1))).to.deep.equal(['2', '1'])
      expect(readdirSync(dir).sort()).to.deep.equal(['step-00000003', 'step-00000004'])
      expect(await pruneCheckpoints(dir, 2)).to.deep.equal([])
    })

    it('deletes nothing while the newest is not whole', async () => {
      for (const step of [1, 2, 3]) await writeCheckpoint(dir, step, content(step))
      truncateSync(join(dir, 'step-00000003', 'state.safetensors'), 100)
      expect(await pruneCheckpoints(dir, 2)).to.deep.equal([])
      expect(readdirSync(dir)).to.have.length(3)
    })

    it('keeps two at least', async () => {
      expect(await rejected(() => pruneCheckpoints(dir, 1))).to.include({ code: 'ERR_SKNET_OPTION', option: 'keep' })
    })
  })

  it('is copied as the best: the weights the run is judged by, over an earlier best', async () => {
    const run = join(dir, '..')
    const first = await writeCheckpoint(dir, 1, content(1))
    const second = await writeCheckpoint(dir, 2, { ...content(2), ema: null })
    for (const [path, key] of [
      [first, 'ema'],
      [second, 'values'],
    ] as const) {
      const best = await copyAsBest(path, run)
      expect(best).to.equal(join(run, 'best'))
      expect(readdirSync(best).sort()).to.deep.equal(['README.md', 'config.json', 'model.safetensors'])
      const stored = await readSafetensors(join(best, 'model.safetensors'))
      const expected = (await readCheckpoint(path))[key]!
      for (const { name, shape } of model.tensors()) {
        expect(stored.get(name)).to.deep.equal({ dtype: 'F32', shape, data: expected.get(name) })
      }
    }
  })

  it('leaves the event loop free while it is written and read', async () => {
    const large = createModel('sknet26')
    const values = new Map(large.tensors().map(({ name, shape }) => [name, new Float32Array(shape.reduce((p, s) => p * s, 1))]))
    let longest = 0
    let last = performance.now()
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 1)
    try {
      const path = await writeCheckpoint(dir, 1, { spec: large.spec, tensors: large.tensors(), values, momentum: values, state: {} })
      await verifyCheckpoint(path)
      await readCheckpoint(path)
    } finally {
      clearInterval(timer)
    }
    expect(longest).to.be.above(0).and.below(250)
  })
})
