/**
 * Our `bench` and PyTorch's steps in turns, in one run: medians over the turns, ratios, machine and commit, as JSON.
 *
 *   npm run build && npx tsx test/bench/against-torch.ts --python VENV/bin/python --peers ../shared/peers [--turns 3] [--only NAME] [--out FILE]
 *
 * The peers folder holds torch_step.py (a timm network's step), torch_cifar.py (the same sknet_tiny_cifar in PyTorch) and tuned.sh (the
 * best environment found for PyTorch on a CPU). Nothing else should run on the machine meanwhile.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values: args } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    peers: { type: 'string', default: '../shared/peers' },
    turns: { type: 'string', default: '3' },
    threads: { type: 'string', default: '2' },
    only: { type: 'string' },
    out: { type: 'string' },
  },
})

interface Measured {
  imagesPerSecond: number
  peakRssMiB: number
}

interface Contender {
  name: string
  run: () => Measured
}

interface Race {
  name: string
  ours: Contender
  peers: Contender[]
}

const output = (command: string, argv: string[]): string =>
  execFileSync(command, argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
const lastJson = (text: string): Record<string, number> => JSON.parse(text.trim().split('\n').at(-1)!) as Record<string, number>

function ours(model: string, mode: string, batch: number, steps: number): Contender {
  const argv = [
    'dist/cli/main.js',
    'bench',
    '--model',
    model,
    '--mode',
    mode,
    '--batch',
    `${batch}`,
    '--threads',
    args.threads,
    '--steps',
    `${steps}`,
  ]
  return {
    name: 'sknet',
    run: () => {
      const { imagesPerSecond, peakRssMiB } = lastJson(output(process.execPath, [...argv, '--json']))
      return { imagesPerSecond: imagesPerSecond!, peakRssMiB: peakRssMiB! }
    },
  }
}

function torchStep(name: string, model: string, mode: string, batch: number, steps: number, flags: string[]): Contender {
  const argv = [join(args.peers, 'torch_step.py'), '--model', model, '--mode', mode, '--batch', `${batch}`, '--threads', args.threads]
  const full = [args.python, ...argv, '--steps', `${steps}`, ...flags]
  return {
    name,
    run: () => {
      const r = lastJson(output('sh', [join(args.peers, 'tuned.sh'), ...full]))
      return { imagesPerSecond: r['images_per_s']!, peakRssMiB: r['peak_rss_mib']! }
    },
  }
}

/** The tiny network as torch_cifar.py defines it, without its data: the text of that file up to the data set, then a timed step. */
const TINY = `
import sys, json, time, resource, statistics
path, threads, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
sys.argv = ['torch_cifar.py', '--data', '.']
exec(open(path).read().split('def load(')[0])
torch.set_num_threads(threads)
opt = torch.optim.SGD(m.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
x = torch.randn(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last); t = torch.randint(0, 10, (batch,)); m.train(); ts = []
for i in range(steps + 2):
    s = time.perf_counter(); opt.zero_grad(set_to_none=True); F.cross_entropy(m(x), t).backward(); opt.step(); ts.append(time.perf_counter() - s)
print(json.dumps(dict(images_per_s=batch / statistics.median(ts[2:]), peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
`

function torchTiny(batch: number, steps: number): Contender {
  return {
    name: 'PyTorch eager',
    run: () => {
      const r = lastJson(output(args.python, ['-c', TINY, join(args.peers, 'torch_cifar.py'), args.threads, `${batch}`, `${steps}`]))
      return { imagesPerSecond: r['images_per_s']!, peakRssMiB: r['peak_rss_mib']! }
    },
  }
}

const timm = 'skresnext50_32x4d'
const races: Race[] = [
  {
    name: 'sknet50 train b16',
    ours: ours('sknet50', 'train', 16, 5),
    peers: [
      torchStep('PyTorch tuned', timm, 'train', 16, 4, []),
      torchStep('PyTorch tuned, compiled', timm, 'train', 16, 4, ['--compile']),
    ],
  },
  {
    name: 'sknet50 infer b16',
    ours: ours('sknet50', 'infer', 16, 5),
    peers: [
      torchStep('PyTorch tuned', timm, 'infer', 16, 5, []),
      torchStep('PyTorch tuned, compiled', timm, 'infer', 16, 5, ['--compile']),
    ],
  },
  { name: 'sknet50 infer b1', ours: ours('sknet50', 'infer', 1, 20), peers: [torchStep('PyTorch tuned', timm, 'infer', 1, 20, [])] },
  { name: 'sknet_tiny_cifar train b128', ours: ours('sknet_tiny_cifar', 'train', 128, 10), peers: [torchTiny(128, 10)] },
]

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

const results = races
  .filter((race) => args.only === undefined || race.name.includes(args.only))
  .map((race) => {
    const contenders = [race.ours, ...race.peers]
    const runs = contenders.map((): Measured[] => [])
    for (let turn = 0; turn < Number(args.turns); turn++) contenders.forEach((c, i) => runs[i]!.push(c.run()))
    const rows = contenders.map((c, i) => ({
      name: c.name,
      imagesPerSecond: median(runs[i]!.map((r) => r.imagesPerSecond)),
      peakRssMiB: median(runs[i]!.map((r) => r.peakRssMiB)),
      turns: runs[i]!.map((r) => r.imagesPerSecond),
    }))
    const own = rows[0]!
    for (const r of rows) {
      const ratio = (own.imagesPerSecond / r.imagesPerSecond).toFixed(2)
      console.error(`${race.name}: ${r.name} ${r.imagesPerSecond.toFixed(2)} img/s, ${r.peakRssMiB.toFixed(0)} MiB, ours is ${ratio} x`)
    }
    return { race: race.name, rows }
  })

const report = {
  date: new Date().toISOString(),
  commit: output('git', ['rev-parse', 'HEAD']).trim(),
  cpu: cpus()[0]!.model,
  threads: Number(args.threads),
  turns: Number(args.turns),
  torch: output(args.python, ['-c', 'import torch; print(torch.__version__)']).trim(),
  results,
}
console.log(JSON.stringify(report, null, 1))
if (args.out !== undefined) writeFileSync(args.out, `${JSON.stringify(report, null, 1)}\n`)
