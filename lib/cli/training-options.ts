/** The options of a training command: flags, --set and --config become one layer over the recipe. */
import { readFile } from 'node:fs/promises'
import { SknetError } from '../errors.js'
import { isObject } from '../check.js'
import { checkOptions, checkSetting, nest, type OptionValues } from '../train/options.js'
import type { PartialTrainOptions } from '../train/option-types.js'
import type { CreateOptions } from '../model/registry.js'
import { usageError, type Args, type Flag } from './command.js'
import { modelOptions, splitSettings } from './model-options.js'

/** Flag -> option path. */
const flagPaths = {
  epochs: 'epochs',
  batch: 'batchSize',
  lr: 'optimizer.lr',
  device: 'device',
  devices: 'devices',
  threads: 'threads',
  precision: 'precision',
  seed: 'seed',
} as const

export const trainingFlags: Record<string, Flag> = {
  recipe: { kind: 'text', value: 'NAME', about: 'large, light, imagenet-fast, cifar or cifar-paper; where the other defaults come from' },
  epochs: { kind: 'text', value: 'N', about: 'passes over the training images' },
  batch: { kind: 'text', value: 'N', about: 'images of one step' },
  lr: { kind: 'text', value: 'X', about: 'base learning rate' },
  device: { kind: 'text', value: 'D', about: 'auto, cpu, cuda or cuda:N' },
  devices: { kind: 'text', value: 'K', about: '1 in this version' },
  threads: { kind: 'text', value: 'T', about: 'native threads; default: all' },
  precision: { kind: 'text', value: 'P', about: 'fp32 or bf16' },
  seed: { kind: 'text', value: 'S', about: 'decides initial weights, order and augmentation' },
  set: {
    kind: 'list',
    value: 'path=value',
    about: 'any option by its path, such as optimizer.nesterov=true, or of the network, such as model.branches=3; may be repeated',
  },
}

/** What a configuration file may hold besides option paths. */
export interface TrainingSetup {
  model: string | null
  /** Path of the data: --data, or `dataset` in a file, where `data` is the group of options. */
  dataset: string | null
  recipe: string | null
  run: string | null
  init: string | null
  options: PartialTrainOptions
  /** The network's own: --set model.*, or `modelOptions` in a file. */
  modelOptions: CreateOptions
}

const NAMES = ['model', 'dataset', 'recipe', 'run', 'init'] as const

/** The configuration file below, the flags above. Throws ERR_SKNET_OPTION for what either holds that is no option. */
export async function configuredTraining(args: Args): Promise<TrainingSetup> {
  const file = args.text('config')
  const { names, values, own } = file === undefined ? { names: {}, values: new Map<string, unknown>(), own: {} } : await readConfig(file)
  const { model, others } = splitSettings(args.list('set'))
  const flags = Object.entries(flagPaths).filter(([flag]) => args.has(flag))
  const layers: OptionValues[] = [
    values,
    ...flags.map(([flag, path]) => checkSetting(`${path}=${args.text(flag)!}`)),
    ...others.map(checkSetting),
  ]
  const options = nest(new Map(layers.flatMap((layer) => [...layer]))) as PartialTrainOptions
  const named = Object.fromEntries(NAMES.map((name) => [name, args.text(name === 'dataset' ? 'data' : name) ?? names[name] ?? null]))
  return { ...(named as Omit<TrainingSetup, 'options' | 'modelOptions'>), options, modelOptions: { ...own, ...model } }
}

async function readConfig(path: string): Promise<{ names: Partial<Record<string, string>>; values: OptionValues; own: CreateOptions }> {
  const config = parseConfig(path, await readFile(path, 'utf8').catch((cause: unknown) => unreadable(path, cause)))
  // A run's own config.json says which version wrote it.
  const { sknet: _version, modelOptions: own = {}, ...rest } = config
  const names: Partial<Record<string, string>> = {}
  for (const name of NAMES) {
    const value = rest[name]
    delete rest[name]
    if (value === undefined || value === null) continue
    if (typeof value !== 'string') throw usageError(`${name} in ${path} is no text`, name, { got: value, expected: 'text' })
    names[name] = value
  }
  return { names, values: checkOptions(rest, NAMES), own: modelOptions(own) }
}

function parseConfig(path: string, text: string): Record<string, unknown> {
  try {
    const config: unknown = JSON.parse(text)
    if (isObject(config)) return { ...config }
  } catch (cause) {
    unreadable(path, cause)
  }
  throw usageError(`${path} holds no JSON object`, 'config', { expected: 'a JSON object of options' })
}

function unreadable(path: string, cause: unknown): never {
  const reason = cause instanceof Error ? cause.message : String(cause)
  const details = { option: 'config', path, expected: 'a JSON file of options', cause }
  throw new SknetError('ERR_SKNET_OPTION', `The configuration ${path} cannot be read: ${reason}`, details)
}
