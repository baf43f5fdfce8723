/** Recipe `large` over its 100 epochs at a small scale: one run to the end, one killed within an epoch just before a drop and resumed. */
import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeCifar } from './cifar-files.js'
import { sknet, start, type Outcome } from './cli.js'

export interface Scale {
  images: number
  batch: number
  /** Side of the input. */
  size: number
}

export async function hundredEpochs(dir: string, { images, batch, size }: Scale): Promise<void> {
  const data = await writeCifar(join(dir, 'data'), { train: images, val: 20 })
  const stepsPerEpoch = Math.floor(images / batch)
  const line = (run: string): string[] => [
    ...['train', '--data', data, '--model', 'sknet_tiny_cifar', '--recipe', 'large', '--batch', String(batch), '--seed', '5', '--json'],
    ...['--set', `shardSize=${batch / 8}`, '--set', `data.size=${size}`, '--set', `eval.crop=${size}`, '--run', join(dir, run)],
  ]
  const weights = async (run: string): Promise<string> => {
    const newest = (await readdir(join(dir, run, 'checkpoints'))).sort().at(-1)!
    return createHash('sha256')
      .update(await readFile(join(dir, run, 'checkpoints', newest, 'model.safetensors')))
      .digest('hex')
  }

  const whole = await sknet(...line('whole'))
  expect(whole.stderr).to.include(`finished: 100 epochs, ${100 * stepsPerEpoch} steps`)
  expect(whole.code).to.equal(0)
  expect(dropsOf(whole)).to.deep.equal([30, 60, 90].map((epoch) => epoch * stepsPerEpoch))

  const beforeDrop = 30 * stepsPerEpoch - 1
  const running = start(line('killed'))
  await running.seen((event) => event.type === 'step' && (event.step as number) >= beforeDrop)
  running.child.kill('SIGKILL')
  expect((await running.done).signal).to.equal('SIGKILL')
  const rest = await sknet(...line('killed'))
  expect(rest.code).to.equal(0)
  expect(rest.events[0]!.resumed)
    .to.have.property('step')
    .that.is.within(28 * stepsPerEpoch, 32 * stepsPerEpoch)
  expect(await weights('killed')).to.equal(await weights('whole'))
  const rows = (await readFile(join(dir, 'killed', 'results.csv'), 'utf8')).trimEnd().split('\n').slice(1)
  expect(rows.map((row) => Number(row.split(',')[0]))).to.deep.equal(Array.from({ length: 100 }, (_, i) => i + 1))
}

/** Steps already done when the rate fell to a tenth. */
function dropsOf({ events }: Outcome): number[] {
  const steps = events.filter(({ type }) => type === 'step') as { step: number; lr: number }[]
  const drops = steps.filter(({ lr }, i) => i > 0 && lr !== steps[i - 1]!.lr)
  for (const { step, lr } of drops) expect(lr / steps[step - 2]!.lr).to.be.closeTo(0.1, 1e-12)
  return drops.map(({ step }) => step - 1)
}
