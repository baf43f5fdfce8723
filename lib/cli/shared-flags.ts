/** Flags that several commands take, and how they become values. */
import { describeDevice, resolveDevice } from '../device.js'
import type { Precision } from '../native.js'
import { threadCount } from '../train/plans.js'
import { usageError, type Args, type Flag } from './command.js'
import { choice, wholeNumber } from './numbers.js'

export const machineFlags = {
  device: { kind: 'text', value: 'D', about: 'auto, cpu, cuda or cuda:N' },
  threads: { kind: 'number', value: 'T', about: 'native threads; default: all' },
} as const satisfies Record<string, Flag>

/** How evaluation and prediction look at a picture. */
export const viewFlags = {
  resize: { kind: 'number', value: 'N', about: "shorter side before the crop; default: the model's" },
  crop: { kind: 'number', value: 'N', about: "side of the centre crop; default: the model's" },
  interpolation: { kind: 'text', value: 'F', about: 'bilinear or bicubic' },
} as const satisfies Record<string, Flag>

/** What one step of a plan is. */
export const stepFlags = {
  mode: { kind: 'text', value: 'M', about: 'train or infer; default train' },
  batch: { kind: 'number', value: 'N', about: 'images of one step; default 16' },
  size: { kind: 'number', value: 'S', about: "side of the input; default: the network's own" },
  precision: { kind: 'text', value: 'P', about: 'fp32 or bf16; default fp32' },
} as const satisfies Record<string, Flag>

export interface StepShape {
  mode: 'train' | 'infer'
  /** Images of one step, all in one shard. */
  batch: number
  /** Side of the square input in pixels. */
  size: number
  threads: number
  /** As plans name it. */
  device: string
  precision: Precision
}

/** stepFlags and --threads; `size` is the default side. Training needs two images: batch norm over one is refused. */
export function stepShape(args: Args, size: number): StepShape {
  const mode = choice(args, 'mode', ['train', 'infer'])
  return {
    mode,
    batch: wholeNumber(args, 'batch', 16, { min: mode === 'train' ? 2 : 1, max: 65536 }),
    size: wholeNumber(args, 'size', size, { min: 1, max: 8192 }),
    threads: threadsOf(args),
    device: resolveDevice(args.text('device') ?? 'cpu'),
    precision: choice(args, 'precision', ['fp32', 'bf16']),
  }
}

/** For people: what a plan of this shape runs on. */
export function whereOf({ device, threads, precision }: StepShape, isa: string): string {
  return device === 'cpu' ? `${threads} threads, ${precision}, ${isa}` : `${describeDevice(device)}, ${precision}`
}

/** --threads, or all that the process may use. */
export function threadsOf(args: Args): number {
  return threadCount(args.has('threads') ? wholeNumber(args, 'threads', 1, { min: 1, max: 4096 }) : null)
}

/** Options of evaluation and prediction that were given: viewFlags, --device and --threads. */
export function viewOptions(args: Args) {
  return {
    ...(args.has('resize') ? { resize: wholeNumber(args, 'resize', 0, { min: 0, max: 16384 }) } : {}),
    ...(args.has('crop') ? { crop: wholeNumber(args, 'crop', 1, { min: 1, max: 16384 }) } : {}),
    ...(args.has('interpolation') ? { interpolation: choice(args, 'interpolation', ['bilinear', 'bicubic']) } : {}),
    ...(args.has('device') ? { device: args.text('device')! } : {}),
    ...(args.has('threads') ? { threads: wholeNumber(args, 'threads', 1, { min: 1, max: 4096 }) } : {}),
  }
}

/** The text of a flag that has no default; throws ERR_SKNET_OPTION saying what to give. */
export function required(args: Args, command: string, flag: string, value: string, expected: string): string {
  const given = args.text(flag)
  if (given === undefined) throw usageError(`sknet ${command} needs --${flag} ${value}`, flag, { expected })
  return given
}

/** What reading a file that a flag names gives; throws ERR_SKNET_OPTION where that fails. */
export async function pathGiven<T>(flag: string, path: string, reading: Promise<T>): Promise<T> {
  return reading.catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw usageError(`--${flag} ${path} cannot be read: ${reason}`, flag, { got: path, expected: 'a file that can be read' })
  })
}
