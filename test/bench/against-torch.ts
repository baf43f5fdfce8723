/**
 * Whole networks by our `bench` and by PyTorch, in turns.
 *
 *   npm run build && npx tsx test/bench/against-torch.ts --python VENV/bin/python --peers ../shared/peers [--turns 3] [--threads 2] [--precision fp32] [--only NAME] [--out FILE]
 *
 * The peers folder holds torch_step.py (a timm network's step) and torch_cifar.py (the same sknet_tiny_cifar in PyTorch). Nothing else should
 * run on the machine meanwhile.
 */
import { join } from 'node:path'
import { lastJson, measured, ours, output, python, torchVersion } from './contenders.js'
import { raceArguments, runRaces, type Contender, type Race } from './race.js'

const args = raceArguments({ peers: '../shared/peers' })

/** The tiny network as torch_cifar.py defines it, without its data: the text of that file up to the data set, then a timed step. */
const TINY = `
import sys, json, time, resource, statistics
path, threads, batch, steps, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
sys.argv = ['torch_cifar.py', '--data', '.']
exec(open(path).read().split('def load(')[0])
torch.set_num_threads(threads)
opt = torch.optim.SGD(m.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
x = torch.randn(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last); t = torch.randint(0, 10, (batch,)); m.train(); ts = []
for i in range(steps + 2):
    s = time.perf_counter(); opt.zero_grad(set_to_none=True)
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=kind == 'bf16'): y = m(x)
    F.cross_entropy(y.float(), t).backward(); opt.step(); ts.append(time.perf_counter() - s)
seconds = statistics.median(ts[2:])
print(json.dumps(dict(seconds_median=seconds, images_per_s=batch / seconds, peak_rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))
`

function torchTiny(batch: number, steps: number): Contender {
  const argv = ['-c', TINY, join(args.peers, 'torch_cifar.py'), `${args.threads}`, `${batch}`, `${steps}`, args.precision]
  return { name: 'PyTorch eager', run: () => measured(lastJson(output(args.python, argv))) }
}

function network(model: string, timm: string | null, mode: string, batch: number, steps: number): Race {
  const shape = ['--mode', mode, '--batch', `${batch}`, '--steps', `${steps}`]
  const step = [join(args.peers, 'torch_step.py'), ...shape, '--model', timm ?? '']
  const peers = [python('PyTorch tuned', step, args), python('PyTorch tuned, compiled', [...step, '--compile'], args)]
  return {
    name: `${model} ${mode} b${batch}`,
    ours: ours('sknet', ['--model', model, ...shape], args),
    peers: timm === null ? [torchTiny(batch, steps)] : peers,
  }
}

const races = [
  network('sknet50', 'skresnext50_32x4d', 'train', 16, 5),
  network('sknet50', 'skresnext50_32x4d', 'infer', 16, 5),
  network('sknet50', 'skresnext50_32x4d', 'infer', 1, 20),
  network('sknet_tiny_cifar', null, 'train', 128, 10),
]

runRaces(races, args, { torch: torchVersion(args) })
