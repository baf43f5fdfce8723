/**
 * From what people wrote to the options of a run: each layer (recipe, configuration file, flags or the caller's object) is checked
 * against the schema, later layers win, defaults fill the rest, and what only holds between options is checked at the end.
 * Every refusal is a SknetError naming the path, what was got and what is expected.
 */
import { describe, nearest } from '../check.js'
import { SknetError } from '../errors.js'
import { missingGroups, optionSchema, type OptionRule } from './option-schema.js'
import type { TrainOptions } from './option-types.js'

/** Values by path (`optimizer.lr`), each already accepted by the schema. */
export type OptionValues = Map<string, unknown>

/**
 * Checks one layer and lays it flat.
 * @param layer nested objects, dotted keys, or both; `undefined` counts as absent
 * @param alsoKnown further names allowed at the top by the caller, for the hint of an unknown one
 */
export function checkOptions(layer: unknown, alsoKnown: readonly string[] = []): OptionValues {
  if (!isGroup(layer)) throw new SknetError('ERR_SKNET_OPTION', 'The options are not an object', { got: layer, expected: 'an object' })
  const values: OptionValues = new Map()
  collect(layer, '', values, alsoKnown)
  return values
}

/** Checks one `path=value` of the command line. */
export function checkSetting(setting: string): OptionValues {
  const at = setting.indexOf('=')
  if (at < 1) {
    throw new SknetError('ERR_SKNET_OPTION', `--set ${setting} has no value`, { option: 'set', got: setting, expected: 'path=value' })
  }
  const path = setting.slice(0, at)
  return new Map([[path, checkValue(path, ruleOf(path, []).parse(setting.slice(at + 1)))]])
}

/** Defaults, then each layer in turn; the result is complete and agrees with itself. */
export function resolveOptions(layers: readonly OptionValues[]): TrainOptions {
  const values: OptionValues = new Map(Object.entries(optionSchema).map(([path, rule]) => [path, rule.default]))
  for (const layer of layers) for (const [path, value] of layer) values.set(path, value)
  values.set('shardSize', shardSizeOf(values, layers))
  const options = nest(values) as unknown as TrainOptions
  checkTogether(options)
  return options
}

/** The nested form of flat values, as a configuration file holds it. */
export function nest(values: OptionValues): Record<string, unknown> {
  const tree: Record<string, unknown> = {}
  for (const [path, value] of values) {
    const [head, tail] = path.split('.') as [string, string | undefined]
    if (tail === undefined) tree[head] = structuredClone(value)
    else (tree[head] ??= {}) as Record<string, unknown>
    if (tail !== undefined) (tree[head] as Record<string, unknown>)[tail] = structuredClone(value)
  }
  return tree
}

/** Flat values of complete options, for comparing two runs. */
export function flatten(options: TrainOptions): OptionValues {
  return checkOptions(options)
}

function collect(group: Record<string, unknown>, prefix: string, values: OptionValues, alsoKnown: readonly string[]): void {
  for (const [key, value] of Object.entries(group)) {
    if (value === undefined) continue
    const path = prefix + key
    if (isGroup(value) && isGroupName(path)) collect(value, `${path}.`, values, alsoKnown)
    else values.set(path, checkValue(path, value, alsoKnown))
  }
}

function checkValue(path: string, value: unknown, alsoKnown: readonly string[] = []): unknown {
  const rule = ruleOf(path, alsoKnown)
  if (!rule.accepts(value)) {
    const details = { option: path, got: value, expected: rule.expected }
    throw new SknetError('ERR_SKNET_OPTION', `${path} is ${describe(value)}; expected ${rule.expected}`, details)
  }
  const missing = rule.missing?.(value) ?? null
  if (missing !== null) {
    const details = { option: path, got: value, expected: `another value: ${missing} is not in this version` }
    throw new SknetError('ERR_SKNET_OPTION', `${path} is ${describe(value)}, but ${missing} is not in this version`, details)
  }
  return structuredClone(value)
}

function ruleOf(path: string, alsoKnown: readonly string[]): OptionRule {
  if (Object.hasOwn(optionSchema, path)) return optionSchema[path]!
  const group = path.split('.')[0]!
  if (Object.hasOwn(missingGroups, group)) {
    const message = `${path} cannot be set: ${missingGroups[group]} is not in this version`
    throw new SknetError('ERR_SKNET_OPTION', message, { option: path, expected: 'no such option in this version' })
  }
  if (isGroupName(path)) {
    const members = Object.keys(optionSchema).filter((known) => known.startsWith(`${path}.`))
    throw new SknetError('ERR_SKNET_OPTION', `${path} is a group of options`, {
      option: path,
      expected: `an object with ${members.join(', ')}`,
    })
  }
  const guess = nearestOption(path, alsoKnown)
  const details = { option: path, expected: 'a known option', ...(guess === null ? {} : { hint: `Did you mean ${guess}?` }) }
  throw new SknetError('ERR_SKNET_OPTION', `Unknown option ${path}${guess === null ? '' : `; did you mean ${guess}?`}`, details)
}

/** People forget the group (`lr`) as often as they misspell, so the last part counts too. */
function nearestOption(path: string, alsoKnown: readonly string[]): string | null {
  const known = [...Object.keys(optionSchema), ...alsoKnown]
  const last = path.split('.').at(-1)!
  return nearest(path, known) ?? known.find((k) => k.split('.').at(-1) === last) ?? nearestMember(last, known)
}

function nearestMember(last: string, known: readonly string[]): string | null {
  const guess = nearest(
    last,
    known.map((k) => k.split('.').at(-1)!),
  )
  return guess === null ? null : (known.find((k) => k.split('.').at(-1) === guess) ?? null)
}

/** A recipe's shard may be larger than a batch chosen for a smaller machine; the whole batch is one shard then. */
function shardSizeOf(values: OptionValues, layers: readonly OptionValues[]): unknown {
  const batch = values.get('batchSize') as number
  const shard = values.get('shardSize') as number | null
  const saidLast = layers.findLastIndex((layer) => layer.has('shardSize')) >= layers.findLastIndex((layer) => layer.has('batchSize'))
  return shard === null || (shard > batch && !saidLast) ? batch : shard
}

function checkTogether(options: TrainOptions): void {
  if (options.batchSize % options.shardSize !== 0) {
    throw new SknetError('ERR_SKNET_OPTION', `batchSize is ${options.batchSize}, no multiple of shardSize ${options.shardSize}`, {
      option: 'shardSize',
      got: options.shardSize,
      expected: `a divisor of batchSize ${options.batchSize}`,
      hint: `Choose a batch size that is a multiple of ${options.shardSize}, or set shardSize`,
    })
  }
  if (options.optimizer.nesterov && options.optimizer.momentum === 0) {
    const details = { option: 'optimizer.nesterov', got: true, expected: 'false, or a momentum above 0' }
    throw new SknetError('ERR_SKNET_OPTION', 'optimizer.nesterov needs a momentum above 0', details)
  }
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
}

function isGroupName(path: string): boolean {
  return Object.hasOwn(missingGroups, path) || Object.keys(optionSchema).some((known) => known.startsWith(`${path}.`))
}
