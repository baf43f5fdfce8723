/**
 * The one table of training options: for every path what is accepted, the default, how text of the command line is read, and what is
 * known but not in this version. The command line, configuration files and the API all go through it.
 */
import { DEVICES, isDevice } from '../device.js'
import { checkGroups } from '../optim/groups.js'

export interface OptionRule {
  /** Taken when neither recipe, configuration nor caller says otherwise. */
  default: unknown
  /** What is accepted, in words. */
  expected: string
  accepts(value: unknown): boolean
  /** Reads the text after `--set path=`; text that is no such value is returned as it is, for `accepts` to refuse. */
  parse(text: string): unknown
  /** A reason when an accepted value cannot be honoured by this version. */
  missing?: (value: unknown) => string | null
  about: string
}

interface Range {
  min: number
  max: number
  /** true: `min` itself is refused. */
  above?: boolean
  /** true: `max` itself is refused. */
  below?: boolean
}

type Rest = Pick<OptionRule, 'about'> & Partial<Pick<OptionRule, 'missing'>>

const LARGEST_SEED = Number.MAX_SAFE_INTEGER

export const optionSchema: Record<string, OptionRule> = {
  epochs: integer(100, { min: 1, max: 1_000_000 }, { about: 'passes over the training images' }),
  batchSize: integer(256, { min: 2, max: 1_048_576 }, { about: 'images of one step over all shards' }),
  shardSize: orNull(integer(null, { min: 2, max: 1_048_576 }, { about: 'images that share batch statistics; default: the batch size' })),
  seed: integer(0, { min: 0, max: LARGEST_SEED }, { about: 'decides initial weights, order and augmentation' }),
  precision: oneOf('fp32', ['fp32', 'bf16'], { about: 'what activations are stored as' }),
  threads: orNull(integer(null, { min: 1, max: 4096 }, { about: 'native threads; default: all the process may use' })),
  device: {
    default: 'auto',
    expected: DEVICES,
    accepts: isDevice,
    parse: (text) => text,
    about: 'where to run; auto: a CUDA device if one can be used, else the CPU',
  },
  devices: integer(
    1,
    { min: 1, max: 1024 },
    { about: 'devices to train on', missing: (v) => (v === 1 ? null : 'training on several devices') },
  ),

  'optimizer.name': oneOf('sgd', ['sgd', 'lars'], { about: 'optimizer' }),
  'optimizer.lr': number(0.1, { min: 0, max: 1e6, above: true }, { about: 'base learning rate' }),
  'optimizer.momentum': number(0.9, { min: 0, max: 1, below: true }, { about: 'momentum' }),
  'optimizer.nesterov': boolean(false, { about: "Nesterov's momentum" }),
  'optimizer.weightDecay': number(1e-4, { min: 0, max: 1e3 }, { about: 'on tensors of two or more dimensions' }),
  'optimizer.gradClip': number(0, { min: 0, max: 1e12 }, { about: "largest 2-norm of a step's gradient; 0: no limit" }),
  'optimizer.trust': number(0.001, { min: 0, max: 1, above: true }, { about: "LARS's trust coefficient" }),
  'optimizer.groups': {
    default: [],
    expected: 'a list of groups such as {"match":"fc.*","lr":10} or {"match":"layer1.*","frozen":true}',
    accepts: acceptsGroups,
    parse: jsonOf,
    about: 'tensors with a rate or weight decay of their own, or frozen',
  },
  'schedule.name': oneOf('step', ['step', 'cosine'], { about: 'learning rate over the run' }),
  'schedule.warmupEpochs': number(0, { min: 0, max: 1_000_000 }, { about: 'epochs of linear warm-up' }),
  'schedule.steps': epochList([30, 60, 90], { about: 'epochs before which the step schedule divides the rate by ten' }),
  'loss.labelSmoothing': number(0, { min: 0, max: 1, below: true }, { about: 'share of the target spread over all classes' }),
  'ema.decay': number(0, { min: 0, max: 1, below: true }, { about: 'decay a step of the average of the weights; 0: none is kept' }),

  'data.augment': orNull(oneOf(null, ['paper', 'senet', 'light', 'cifar', 'none'], { about: 'augmentation preset' })),
  'data.size': orNull(
    integer(null, { min: 1, max: 8192 }, { about: 'side of the training input in pixels; default: what suits the data' }),
  ),
  'data.startSize': orNull(
    integer(null, { min: 1, max: 8192 }, { about: 'side of the training input in the first epochs; null: data.size throughout' }),
  ),
  'data.rampEpochs': epochList([], { about: 'epochs between which the side grows from data.startSize to data.size, such as 5,13' }),
  'data.mixup': number(0, { min: 0, max: 1e3 }, { about: 'mixup: shares of two images are drawn from Beta(X, X); 0: off' }),
  'data.cutmix': number(0, { min: 0, max: 1e3 }, { about: 'cutmix: shares of two images are drawn from Beta(X, X); 0: off' }),
  'data.dctScale': boolean(false, { about: 'decode JPEGs at 1/2, 1/4 or 1/8 of their size for training where the crop allows it' }),
  'data.colorJitter': number(
    0,
    { min: 0, max: 1 },
    { about: 'brightness, contrast and saturation by factors from 1 - X to 1 + X, beside the preset' },
  ),
  'data.randAugment': {
    default: [],
    expected: '[] or a number of effects from 1 to 16 and a magnitude from 0 to 30, such as 2,9',
    accepts: acceptsRandAugment,
    parse: listOf,
    about: 'RandAugment beside the preset: effects a picture and their magnitude; empty: none',
  },
  'data.balanced': boolean(false, { about: 'every class as often as every other in an epoch, rare ones repeated' }),
  'data.onBadSample': oneOf('replace', ['replace', 'skip'], { about: 'what happens to an image that cannot be read' }),
  'data.badSampleBudget': {
    default: null,
    expected: 'a share below 1, a whole number of files, or null',
    accepts: (v) => v === null || (typeof v === 'number' && v >= 0 && (v < 1 || Number.isSafeInteger(v))),
    parse: (text) => (text === 'null' ? null : numberOf(text)),
    about: 'unreadable images a run may meet; default: max(10, 0.01 %)',
  },
  'eval.resize': orNull(
    integer(
      null,
      { min: 0, max: 16384 },
      { about: 'shorter side before the centre crop; 0: no resize; default: in proportion to the crop' },
    ),
  ),
  'eval.crop': orNull(
    integer(null, { min: 1, max: 8192 }, { about: 'side of the centre crop; default: data.size where training resizes to it' }),
  ),
  'eval.interpolation': orNull(oneOf(null, ['bilinear', 'bicubic'], { about: 'resampling filter' })),
  'best.metric': oneOf('top1', ['top1', 'top5', 'loss'], { about: 'validation number by which best/ is chosen and early stopping judges' }),
  'earlyStop.patience': integer(
    0,
    { min: 0, max: 1_000_000 },
    { about: 'epochs in a row without getting better that end the run; 0: never' },
  ),
  'earlyStop.minDelta': number(0, { min: 0, max: 1e6 }, { about: 'what an epoch has to gain to count as better' }),
  'checkpoint.every': {
    default: '1ep',
    expected: "a whole number of steps of at least 1, or '1ep'",
    accepts: (v) => v === '1ep' || (Number.isSafeInteger(v) && (v as number) >= 1),
    parse: (text) => (text === '1ep' ? text : numberOf(text)),
    about: 'steps between checkpoints, or the end of each epoch',
  },
  'checkpoint.keep': integer(2, { min: 2, max: 100_000 }, { about: 'newest checkpoints kept' }),
  onNonFinite: oneOf('stop', ['stop', 'skip', 'rewind'], {
    about: 'what follows a loss that is not finite',
    missing: (v) => (v === 'stop' ? null : `onNonFinite '${String(v)}'`),
  }),
  syncBn: boolean(false, {
    about: 'batch statistics over devices',
    missing: (v) => (v === true ? 'batch statistics over several devices' : null),
  }),
}

/** Option groups that are understood but not in this version, whatever is in them. */
export const missingGroups: Record<string, string> = { dist: 'distributed training' }

/** Throws for a list whose members are no groups, naming the member. */
function acceptsGroups(value: unknown): boolean {
  if (!Array.isArray(value)) return false
  checkGroups('optimizer.groups', value)
  return true
}

function acceptsRandAugment(value: unknown): boolean {
  if (!Array.isArray(value) || !value.every((v) => Number.isSafeInteger(v))) return false
  const [count, magnitude] = value as number[]
  return value.length === 0 || (value.length === 2 && count! >= 1 && count! <= 16 && magnitude! >= 0 && magnitude! <= 30)
}

/** Numbers parted by commas, in brackets or not. */
function listOf(text: string): unknown {
  const inner = text.replace(/^\[|\]$/g, '')
  return inner.trim() === '' ? [] : inner.split(',').map(numberOf)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A number from text, or the text itself where it is none. */
export function numberOf(text: string): unknown {
  return text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text)
}

function within(value: number, range: Range): boolean {
  const low = range.above ? value > range.min : value >= range.min
  return low && (range.below ? value < range.max : value <= range.max)
}

function number(fallback: number, range: Range, rest: Rest): OptionRule {
  return {
    default: fallback,
    expected: `a number ${range.above ? 'above' : 'of at least'} ${range.min} and ${range.below ? 'below' : 'at most'} ${range.max}`,
    accepts: (v) => typeof v === 'number' && Number.isFinite(v) && within(v, range),
    parse: numberOf,
    ...rest,
  }
}

function integer(fallback: number | null, range: Range, rest: Rest): OptionRule {
  return {
    default: fallback,
    expected: `a whole number from ${range.min} to ${range.max}`,
    accepts: (v) => Number.isSafeInteger(v) && within(v as number, range),
    parse: numberOf,
    ...rest,
  }
}

function boolean(fallback: boolean, rest: Rest): OptionRule {
  return {
    default: fallback,
    expected: 'true or false',
    accepts: (v) => typeof v === 'boolean',
    parse: (text) => (text === 'true' ? true : text === 'false' ? false : text),
    ...rest,
  }
}

function oneOf(fallback: string | null, values: string[], rest: Rest): OptionRule {
  return {
    default: fallback,
    expected: values.length === 1 ? values[0]! : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`,
    accepts: (v) => typeof v === 'string' && values.includes(v),
    parse: (text) => text,
    ...rest,
  }
}

function epochList(fallback: number[], rest: Rest): OptionRule {
  return {
    default: fallback,
    expected: 'a list of whole numbers of at least 1, each above the one before, such as 30,60,90',
    accepts: (v) => Array.isArray(v) && v.every((e, i) => Number.isSafeInteger(e) && e >= 1 && (i === 0 || e > (v[i - 1] as number))),
    parse: listOf,
    ...rest,
  }
}

function orNull(rule: OptionRule): OptionRule {
  return {
    ...rule,
    expected: `${rule.expected}, or null`,
    accepts: (v) => v === null || rule.accepts(v),
    parse: (text) => (text === 'null' ? null : rule.parse(text)),
    missing: (v) => (v === null ? null : (rule.missing?.(v) ?? null)),
  }
}
