/**
 * Our `bench --op` and the same op in PyTorch, in turns: the SK unit of the four stages of SKNet-50, forward and backward, and the grouped
 * convolution in it, which PyTorch leaves to oneDNN (`convolutions` in the report says so).
 *
 *   npm run build && npx tsx test/bench/ops-against-torch.ts --python VENV/bin/python [--turns 3] [--threads 2] [--precision fp32] [--only NAME] [--out FILE]
 *
 * Ours is the sum over the plan's steps; PyTorch's the time of its calls. The best of PyTorch's set-ups counts (`oursOverBest`).
 */
import { ours, peer, python, torchVersion } from './contenders.js'
import { raceArguments, runRaces, type Contender, type Race } from './race.js'

const args = raceArguments({ batch: '16', steps: '10' })

/** Channels and side of the units of stages 1 to 4 at 224 x 224; 32 groups. */
const stages = [
  [128, 56],
  [256, 28],
  [512, 14],
  [1024, 7],
] as const

const shape = (channels: number, size: number): string[] => {
  const { batch, steps } = args
  return ['--batch', batch, '--channels', `${channels}`, '--size', `${size}`, '--groups', '32', '--steps', steps, '--warmup', '3']
}

function torchOp(op: string, channels: number, size: number, setup: string, flags: string[]): Contender {
  const script = [peer('torch_op.py'), '--op', op, ...shape(channels, size), ...flags]
  return python(`PyTorch tuned, ${setup}`, script, args, { facts: ['convolutions'] })
}

const races = stages.flatMap(([channels, size], i): Race[] => [
  {
    name: `sk_unit train stage ${i + 1}`,
    ours: ours('sknet', ['--op', 'sk_unit', ...shape(channels, size)], args),
    peers: [
      torchOp('sk_unit', channels, size, 'eager, NHWC', []),
      torchOp('sk_unit', channels, size, 'eager, NCHW', ['--layout', 'nchw']),
      torchOp('sk_unit', channels, size, 'compiled, NHWC', ['--compile']),
    ],
  },
  {
    name: `conv2d 3x3 g32 train stage ${i + 1}`,
    ours: ours('sknet', ['--op', 'conv2d', ...shape(channels, size)], args),
    peers: [torchOp('conv2d', channels, size, 'NHWC', []), torchOp('conv2d', channels, size, 'NCHW', ['--layout', 'nchw'])],
  },
])

runRaces(races, args, { torch: torchVersion(args) })
