/** Every named network: what `createModel`, `--model` and `--arch` take (DESIGN 7). */
import { didYouMean, isObject } from '../check.js'
import { SknetError } from '../errors.js'
import { cifarDefaults, cifarSpec } from './cifar.js'
import type { CifarName, CifarOptions } from './cifar.js'
import { mobilenetSpec } from './mobilenet.js'
import type { MobilenetOptions } from './mobilenet.js'
import { Model } from './model.js'
import { paperAliases, paperRows, paperRowSpec } from './paper-rows.js'
import { resnextSpec, seresnextSpec } from './resnext.js'
import type { SeResnextOptions } from './resnext.js'
import { shufflenetSpec } from './shufflenet.js'
import type { ShufflenetOptions } from './shufflenet.js'
import { skresnetSpec } from './skresnet.js'
import { sknetSpec } from './sknet.js'
import type { SknetOptions } from './sknet.js'
import type { ModelSpec } from './spec.js'

/** Options of any network; one that a network does not know is refused. */
export type CreateOptions = SknetOptions & CifarOptions & SeResnextOptions & ShufflenetOptions & MobilenetOptions

const builders: Record<string, (options: CreateOptions) => ModelSpec> = {
  sknet26: (o) => sknetSpec(26, o),
  sknet50: (o) => sknetSpec(50, o),
  sknet101: (o) => sknetSpec(101, o),
  resnext26_32x4d: (o) => resnextSpec(26, o),
  resnext50_32x4d: (o) => resnextSpec(50, o),
  resnext101_32x4d: (o) => resnextSpec(101, o),
  seresnext26_32x4d: (o) => seresnextSpec(26, o),
  seresnext50_32x4d: (o) => seresnextSpec(50, o),
  seresnext101_32x4d: (o) => seresnextSpec(101, o),
  skresnet18: (o) => skresnetSpec(18, o),
  skresnet34: (o) => skresnetSpec(34, o),
  skresnet50: (o) => skresnetSpec(50, o),
  shufflenetv2_x0_5: (o) => shufflenetSpec('shufflenetv2_x0_5', 48, 'plain', o),
  shufflenetv2_x1_0: (o) => shufflenetSpec('shufflenetv2_x1_0', 116, 'plain', o),
  se_shufflenetv2_x0_5: (o) => shufflenetSpec('se_shufflenetv2_x0_5', 48, 'se', o),
  se_shufflenetv2_x1_0: (o) => shufflenetSpec('se_shufflenetv2_x1_0', 116, 'se', o),
  sk_shufflenetv2_x0_5: (o) => shufflenetSpec('sk_shufflenetv2_x0_5', 48, 'sk', o),
  sk_shufflenetv2_x1_0: (o) => shufflenetSpec('sk_shufflenetv2_x1_0', 116, 'sk', o),
  mobilenet_v1: (o) => mobilenetSpec('mobilenet_v1', 'plain', o),
  sk_mobilenet_v1: (o) => mobilenetSpec('sk_mobilenet_v1', 'sk', o),
  ...Object.fromEntries(Object.keys(cifarDefaults).map((name) => [name, (o: CifarOptions) => cifarSpec(name as CifarName, o)])),
}

/** Rows of the paper's ablations; apart from the networks above, whose names messages list. */
const ablations: Record<string, (options: CreateOptions) => ModelSpec> = Object.fromEntries(
  paperRows.map((row) => [row, (o: SknetOptions) => paperRowSpec(row, o)]),
)

/** timm's and torchvision's names, and rows of the paper that are another network. */
const aliases: Record<string, string> = {
  skresnext26_32x4d: 'sknet26',
  skresnext50_32x4d: 'sknet50',
  skresnext101_32x4d: 'sknet101',
  shufflenet_v2_x0_5: 'shufflenetv2_x0_5',
  shufflenet_v2_x1_0: 'shufflenetv2_x1_0',
  ...paperAliases,
}

/** Names of all networks, without aliases; the rows of the paper's ablations come last. */
export function listModels(): string[] {
  return [...Object.keys(builders), ...paperRows]
}

/** The network's own name for a name or an alias, with or without timm's tag (`skresnet18.ra_in1k`). Throws ERR_SKNET_OPTION with the nearest name. */
export function canonicalName(name: string, option = 'model'): string {
  const untagged = typeof name === 'string' ? name.replace(/\.\w+_in\d+k$/, '') : name
  const own = typeof name === 'string' && Object.hasOwn(aliases, untagged) ? aliases[untagged]! : untagged
  if (typeof own === 'string' && (Object.hasOwn(builders, own) || Object.hasOwn(ablations, own))) return own
  const hint = typeof name === 'string' ? didYouMean(name, [...listModels(), ...Object.keys(aliases)]) : undefined
  const expected = `one of ${Object.keys(builders).join(', ')}, or a row of the paper such as ${paperRows[0]}`
  const message = `Unknown model ${JSON.stringify(name)}; expected ${expected}${hint === undefined ? '' : `. ${hint}`}`
  throw new SknetError('ERR_SKNET_OPTION', message, { option, got: name, expected, ...(hint === undefined ? {} : { hint }) })
}

/** The spec behind a name. Throws ERR_SKNET_OPTION, or ERR_SKNET_MODEL where the options do not fit together. */
export function specOf(name: string, options: CreateOptions = {}, option = 'model'): ModelSpec {
  const own = canonicalName(name, option)
  return (builders[own] ?? ablations[own]!)(options)
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

function withSeed(spec: ModelSpec, { seed, classes: _classes, ...builtWith }: { seed?: number; classes?: number }): Model {
  return new Model(spec, { ...(seed === undefined ? {} : { seed }), builtWith: structuredClone(builtWith) })
}
