/** `sknet bench`: speed and memory of a network, of one op, or of the loader, on this machine. */
import { checkOptions } from '../train/options.js'
import { opFlags } from './bench-layers.js'
import { benchLoader } from './bench-loader.js'
import { benchNetwork } from './bench-network.js'
import { benchOp } from './bench-op.js'
import { usageError, type Args, type Command, type Flag } from './command.js'
import { wholeNumber } from './numbers.js'
import { machineFlags, stepFlags } from './shared-flags.js'

const kindFlags = {
  model: { kind: 'text', value: 'NAME', about: 'measure a network; default sknet50' },
  op: { kind: 'text', value: 'NAME', about: 'measure one op: sk_unit, conv2d, batch_norm, max_pool, bottleneck or sk_bottleneck' },
  loader: { kind: 'switch', about: 'measure reading --data: decode, crop, resize, flip, normalise' },
} as const satisfies Record<string, Flag>

type Kind = keyof typeof kindFlags

const loaderFlags: Record<string, Flag> = {
  data: { kind: 'text', value: 'PATH', about: '--loader: CIFAR binaries, a folder of images or tar shards' },
  bytes: { kind: 'switch', about: '--loader: batches as a CUDA device gets them, bytes that it resizes, flips and normalises' },
  images: {
    kind: 'number',
    value: 'N',
    about: '--loader: images to read at least, in several epochs; default 20000, at most five times the data set',
  },
}

const candidateFlag: Record<string, Flag> = {
  candidate: { kind: 'list', value: 'OP=NAME', about: '--op: the implementation of a plan step; may be repeated' },
}

/** Flags that only some kinds take. */
const ownFlags: [kinds: Kind[], flags: string[]][] = [
  [['loader'], Object.keys(loaderFlags)],
  [['op'], [...Object.keys(opFlags), ...Object.keys(candidateFlag)]],
  [
    ['model', 'op'],
    ['steps', 'precision'],
  ],
]

export const benchCommand: Command = {
  name: 'bench',
  about: [
    'Measures a network, one op or the loader on this machine.',
    'A network on synthetic data in memory. train: forward, loss, backward and SGD, the batch as one shard; infer: forward.',
    'An op by what its plan counts, without copies in and out. train: forward and backward; infer: forward.',
    'The loader without a network. train: the augmentation of training; infer: resize and centre crop.',
  ].join('\n'),
  flags: {
    ...kindFlags,
    ...loaderFlags,
    ...stepFlags,
    batch: { ...stepFlags.batch, about: 'images of one step; default 16, 64 for the loader' },
    size: { ...stepFlags.size, about: "side of the input; default: the network's, op's or data set's own" },
    ...machineFlags,
    steps: { kind: 'number', value: 'N', about: 'measured steps; default 10' },
    warmup: { kind: 'number', value: 'N', about: 'steps before them; default 2' },
    ...opFlags,
    ...candidateFlag,
  },
  run: async (args, output) => {
    const kind = kindOf(args)
    checkOptions({ device: args.text('device') ?? 'cpu' })
    const warmup = wholeNumber(args, 'warmup', 2, { min: 0, max: 1_000_000 })
    const repeats = { warmup, runs: wholeNumber(args, 'steps', 10, { min: 1, max: 1_000_000 }) }
    const measured = {
      model: () => benchNetwork(args, repeats, output),
      op: () => benchOp(args, repeats, output),
      loader: () => benchLoader(args, warmup, output),
    }
    output.emit({ type: 'result', ...(await measured[kind]()) })
    return 0
  },
}

/** What is measured. Throws ERR_SKNET_OPTION for two at a time, and for a flag that the one asked for does not take. */
function kindOf(args: Args): Kind {
  const asked = (Object.keys(kindFlags) as Kind[]).filter((kind) => args.has(kind))
  if (asked.length > 1) {
    const names = asked.map((kind) => `--${kind}`).join(' and ')
    throw usageError(`${names} exclude each other`, asked[1]!, { got: names, expected: 'one of --model, --op and --loader' })
  }
  const kind = asked[0] ?? 'model'
  for (const [kinds, flags] of ownFlags) {
    const flag = flags.find((name) => args.has(name))
    if (flag === undefined || kinds.includes(kind)) continue
    const wanted = kinds.map((name) => `--${name}`).join(' and ')
    throw usageError(`--${flag} goes with ${wanted}, not with --${kind}`, flag, { expected: `${wanted} beside it` })
  }
  return kind
}
