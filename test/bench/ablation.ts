/**
 * What attention and further branches bring `sknet_tiny_cifar` on CIFAR-10 (docs/ablation.md): trains each row with each seed by the command
 * line and prints the table. Killed and started again it goes on where it was.
 *   npx tsx test/bench/ablation.ts --data ../shared/data/cifar10 --out runs/ablation [--epochs 12] [--seeds 0,1] [--threads 2] [--only REGEX]
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createModel, type CreateOptions } from '../../lib/model/registry.js'

const rows: { name: string; title: string; options: CreateOptions }[] = [
  { name: 'k3', title: 'M = 1: K3', options: { branches: 1, attention: false } },
  { name: 'k3k5_sum', title: 'M = 2: K3 + K5, plain sum', options: { attention: false } },
  { name: 'k3k5', title: 'M = 2: K3 + K5, SK', options: {} },
  { name: 'k3k5k7', title: 'M = 3: K3 + K5 + K7, SK', options: { branches: 3 } },
]

const text = (fallback: string) => ({ type: 'string', default: fallback }) as const
const { values } = parseArgs({
  options: {
    data: text('../shared/data/cifar10'),
    out: text('runs/ablation'),
    epochs: text('12'),
    seeds: text('0,1'),
    threads: text('2'),
    only: text(''),
  },
})
const seeds = values.seeds.split(',')

/** Top-1 of the last epoch in percent; trains first where that is not done. */
function top1(name: string, options: CreateOptions, seed: string): number {
  const run = join(values.out, `${name}-seed${seed}`)
  const set = Object.entries(options).flatMap(([key, value]) => ['--set', `model.${key}=${JSON.stringify(value)}`])
  const { data, epochs, threads } = values
  const line = ['train', '--data', data, '--model', 'sknet_tiny_cifar', '--recipe', 'cifar', '--epochs', epochs, '--seed', seed]
  const { status } = spawnSync(
    process.execPath,
    ['--import', 'tsx', 'lib/cli/main.ts', ...line, '--threads', threads, '--run', run, ...set],
    {
      stdio: ['ignore', process.stderr, process.stderr],
    },
  )
  if (status !== 0) throw new Error(`${run}: sknet train ended with ${status}`)
  const [header, ...epochRows] = readFileSync(join(run, 'results.csv'), 'utf8').trim().split('\n')
  return 100 * Number(epochRows.at(-1)!.split(',')[header!.split(',').indexOf('top1')])
}

const table = rows
  .filter(({ name }) => new RegExp(values.only).test(name))
  .map(({ name, title, options }) => {
    const model = createModel('sknet_tiny_cifar', options)
    const scores = seeds.map((seed) => top1(name, options, seed))
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length
    return [title, model.params, (model.macs() / 1e6).toFixed(1), ...scores.map((score) => score.toFixed(2)), mean.toFixed(2)].join(' | ')
  })
console.log(`| network | parameters | MMACs | ${seeds.map((seed) => `seed ${seed}`).join(' | ')} | mean |`)
console.log(`|${'---|'.repeat(4 + seeds.length)}`)
for (const line of table) console.log(`| ${line} |`)
