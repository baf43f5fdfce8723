/** Every named network: what `createModel`, `--model` and `--arch` take (DESIGN 7). */
import { didYouMean, isObject } from '../check.js'
import { SknetError } from '../errors.js'
import { cifarDefaults, cifarSpec } from './cifar.js'
import type { CifarName, CifarOptions } from './cifar.js'
import { Model } from './model.js'
import { resnextSpec, seresnextSpec } from './resnext.js'
import type { SeResnextOptions } from './resnext.js'
import { sknetSpec } from './sknet.js'
import type { SknetOptions } from './sknet.js'
import type { ModelSpec } from './spec.js'

/** Options of any network; one that a network does not know is refused. */
export type CreateOptions = SknetOptions & CifarOptions & SeResnextOptions

const builders: Record<string, (options: CreateOptions) => ModelSpec> = {
  sknet26: (o) => sknetSpec(26, o),
  sknet50: (o) => sknetSpec(50, o),
  sknet101: (o) => sknetSpec(101, o),
  resnext26_32x4d: (o) => resnextSpec(26, o),
  resnext50_32x4d: (o) => resnextSpec(50, o),
  resnext101_32x4d: (o) => resnextSpec(101, o),
  seresnext50_32x4d: (o) => seresnextSpec(50, o),
  seresnext101_32x4d: (o) => seresnextSpec(101, o),
  ...Object.fromEntries(Object.keys(cifarDefaults).map((name) => [name, (o: CifarOptions) => cifarSpec(name as CifarName, o)])),
}

/** timm's names. */
const aliases: Record<string, string> = {
  skresnext26_32x4d: 'sknet26',
  skresnext50_32x4d: 'sknet50',
  skresnext101_32x4d: 'sknet101',
}

/** Names of all networks, without aliases. */
export function listModels(): string[] {
  return Object.keys(builders)
}

/** The network's own name for a name or an alias. Throws ERR_SKNET_OPTION with the nearest name. */
export function canonicalName(name: string, option = 'model'): string {
  const own = typeof name === 'string' && Object.hasOwn(aliases, name) ? aliases[name]! : name
  if (typeof own === 'string' && Object.hasOwn(builders, own)) return own
  const hint = typeof name === 'string' ? didYouMean(name, [...listModels(), ...Object.keys(aliases)]) : undefined
  const expected = `one of ${listModels().join(', ')}`
  const message = `Unknown model ${JSON.stringify(name)}; expected ${expected}${hint === undefined ? '' : `. ${hint}`}`
  throw new SknetError('ERR_SKNET_OPTION', message, { option, got: name, expected, ...(hint === undefined ? {} : { hint }) })
}

/** The spec behind a name. Throws ERR_SKNET_OPTION, or ERR_SKNET_MODEL where the options do not fit together. */
export function specOf(name: string, options: CreateOptions = {}, option = 'model'): ModelSpec {
  return builders[canonicalName(name, option)]!(options)
}

/** A network with fresh weights; options are the network's own, such as classes, branches, groups, reduction, minWidth and seed. */
export function createModel(name: string, options: CreateOptions = {}): Model {
  return withSeed(specOf(name, options), options)
}

/** SK[2, 32, 16] with 32x4d widths; 16.7 M parameters. */
export function sknet26(options: SknetOptions = {}): Model {
  return withSeed(sknetSpec(26, options), options)
}

/** 27.5 M parameters. */
export function sknet50(options: SknetOptions = {}): Model {
  return withSeed(sknetSpec(50, options), options)
}

/** 48.7 M parameters. */
export function sknet101(options: SknetOptions = {}): Model {
  return withSeed(sknetSpec(101, options), options)
}

/** The builder behind the CIFAR networks; SKNet-29 unless options say otherwise. */
export function sknetCifar(options: CifarOptions = {}): Model {
  const unit = isObject(options) ? options.unit : undefined
  const name = unit === 'conv' ? 'resnext29_cifar' : unit === 'se' ? 'senet29_cifar' : 'sknet29_cifar'
  return withSeed(cifarSpec('sknet29_cifar', options, name), options)
}

function withSeed(spec: ModelSpec, { seed }: { seed?: number }): Model {
  return new Model(spec, seed === undefined ? {} : { seed })
}
