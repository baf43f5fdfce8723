/** Checks that any value is a ModelSpec: fields and their ranges, names, order of layers, and (through shapes.ts) that everything fits. */
import { describe, didYouMean, isInteger, isObject, nearest } from '../check.js'
import { SknetError } from '../errors.js'
import { inferShapes, layerError } from './shapes.js'
import { INPUT } from './spec.js'
import type { LayerOp, ModelSpec } from './spec.js'
import { tensorInfos } from './tensors.js'

interface Rule {
  expected: string
  accepts(value: unknown): boolean
}

const LARGEST = 1 << 20
const LARGEST_TENSOR = 2 ** 31 - 1
const LONGEST_NAME = 256

function whole(min: number, max: number): Rule {
  return { expected: `a whole number from ${min} to ${max}`, accepts: (v) => isInteger(v, { min, max }) }
}
const channels = whole(1, LARGEST)
const kernel = whole(1, 255)
const oddKernel: Rule = { expected: 'an odd whole number from 1 to 255', accepts: (v) => kernel.accepts(v) && (v as number) % 2 === 1 }
const flag: Rule = { expected: 'true or false', accepts: (v) => typeof v === 'boolean' }
const optionalFlag: Rule = { expected: 'true, false or left out', accepts: (v) => v === undefined || flag.accepts(v) }
const positive: Rule = { expected: 'a number above 0', accepts: (v) => typeof v === 'number' && Number.isFinite(v) && v > 0 }
const share: Rule = { expected: 'a number from 0 to 1', accepts: (v) => typeof v === 'number' && v >= 0 && v <= 1 }
const fields = {
  branch: { kernel: oddKernel, dilation: whole(1, 64), groups: channels },
  attention: { width: channels },
}
const branches: Rule = { expected: 'a list of 1 to 16 branches', accepts: (v) => Array.isArray(v) && v.length >= 1 && v.length <= 16 }
const attention: Rule = { expected: 'an object with width, or null', accepts: (v) => v === null || isObject(v) }
const norm = { eps: positive, momentum: share }

const layerFields: Record<LayerOp, Record<string, Rule>> = {
  conv2d: {
    out: channels,
    kernel,
    stride: whole(1, 64),
    padding: whole(0, 255 * 64),
    dilation: whole(1, 64),
    groups: channels,
    bias: flag,
  },
  batch_norm: norm,
  relu: {},
  sigmoid: {},
  add: {},
  max_pool: { kernel, stride: whole(1, 64), padding: whole(0, 127), ceil: optionalFlag },
  global_avg_pool: {},
  channel_scale: {},
  linear: { out: channels, bias: flag },
  concat: {},
  channel_slice: { first: whole(0, LARGEST), out: channels },
  channel_shuffle: { groups: channels },
  sk_unit: { out: channels, stride: whole(1, 64), branches, attention, splitInput: optionalFlag, ...norm },
}
const ops = Object.keys(layerFields) as LayerOp[]
/** Least and most inputs of the layers that have not one. */
const inputCount: Partial<Record<LayerOp, [number, number]>> = { add: [2, 2], channel_scale: [2, 2], concat: [2, 4] }

/**
 * `value` as a spec, or ERR_SKNET_MODEL naming the layer, what was got and what is expected. The result is a frozen copy.
 */
export function checkSpec(value: unknown): ModelSpec {
  if (!isObject(value)) throw specError('the model', value, 'an object with format, arch, classes, input and layers')
  const keys = ['format', 'arch', 'classes', 'input', 'layers', 'init']
  for (const key of Object.keys(value)) {
    if (!keys.includes(key)) throw specError(`its field ${key}`, value[key], `one of ${keys.join(', ')}`, didYouMean(key, keys))
  }
  if (value.format !== 'sknet-model-1') {
    const newer = typeof value.format === 'string' && /^sknet-model-\d+$/.test(value.format)
    throw specError(
      'format',
      value.format,
      "'sknet-model-1'",
      newer ? 'The model was written by a newer version; upgrade sknet.' : undefined,
    )
  }
  const { arch, classes, input, layers, init } = value
  if (typeof arch !== 'string' || arch === '' || arch.length > LONGEST_NAME) throw specError('arch', arch, 'a name')
  if (!channels.accepts(classes)) throw specError('classes', classes, channels.expected)
  if (!isObject(input) || !whole(1, 1024).accepts(input.channels)) throw specError('input.channels', input, whole(1, 1024).expected)
  if (!whole(1, 65536).accepts(input.size)) throw specError('input.size', input.size, whole(1, 65536).expected)
  if (!Array.isArray(layers) || layers.length === 0) throw specError('layers', layers, 'a list with at least one layer')
  checkLayers(layers)
  const spec = structuredClone(value) as unknown as ModelSpec
  checkWhole(spec)
  if (init !== undefined) checkInit(spec, init)
  return freeze(spec)
}

/** Shapes and counts are derived once, so a spec must stay what it is. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze)
  return value
}

function checkLayers(layers: readonly unknown[]): void {
  const names = new Set<string>([INPUT])
  const read = new Set<string>()
  layers.forEach((layer, i) => {
    if (!isObject(layer)) throw specError(`layers[${i}]`, layer, 'an object with op, name and inputs')
    const { name, op, inputs } = layer
    if (typeof name !== 'string' || !/^[\w.-]+$/.test(name) || name.length > LONGEST_NAME) {
      throw specError(`layers[${i}].name`, name, `up to ${LONGEST_NAME} letters, digits, '_', '-' or '.'`)
    }
    if (names.has(name)) {
      throw layerError(
        name,
        name === INPUT ? 'this name stands for the network input' : 'the name is used twice',
        name,
        'a name of its own',
      )
    }
    if (typeof op !== 'string' || !Object.hasOwn(layerFields, op)) {
      const guess = typeof op === 'string' ? nearest(op, ops) : null
      throw layerError(name, `op is ${describe(op)}`, op, `one of ${ops.join(', ')}`, guess === null ? undefined : `Did you mean ${guess}?`)
    }
    const [least, most] = inputCount[op as LayerOp] ?? [1, 1]
    if (!Array.isArray(inputs) || inputs.length < least || inputs.length > most) {
      const count = least === most ? least : `${least} to ${most}`
      throw layerError(name, `inputs is ${describe(inputs)}`, inputs, `a list of ${count} name${most > 1 ? 's' : ''}`)
    }
    for (const from of inputs as unknown[]) {
      if (typeof from !== 'string' || !names.has(from)) {
        throw layerError(name, `it reads ${describe(from)}`, from, `'${INPUT}' or the name of an earlier layer`)
      }
      read.add(from)
    }
    checkFields(name, layer, layerFields[op as LayerOp])
    if (op === 'sk_unit') checkSkUnit(name, layer)
    if (op === 'max_pool' && 2 * (layer.padding as number) > (layer.kernel as number)) {
      throw layerError(name, `padding is ${describe(layer.padding)}`, layer.padding, 'at most half the kernel')
    }
    names.add(name)
  })
  const last = (layers.at(-1) as { name: string }).name
  for (const name of names) {
    if (name !== last && name !== INPUT && !read.has(name)) {
      throw layerError(name, 'no layer reads its output', name, 'only the last layer to be read by none')
    }
  }
}

function checkFields(layer: string, value: Record<string, unknown>, rules: Record<string, Rule>, prefix = ''): void {
  const known = [...Object.keys(rules), ...(prefix === '' ? ['op', 'name', 'inputs'] : [])]
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) {
      throw layerError(layer, `unknown field ${prefix}${key}`, key, `one of ${known.join(', ')}`, didYouMean(key, known))
    }
  }
  for (const [key, rule] of Object.entries(rules)) {
    if (!rule.accepts(value[key])) throw layerError(layer, `${prefix}${key} is ${describe(value[key])}`, value[key], rule.expected)
  }
}

function checkSkUnit(name: string, layer: Record<string, unknown>): void {
  ;(layer.branches as unknown[]).forEach((branch, m) => {
    if (!isObject(branch)) {
      throw layerError(name, `branches[${m}] is ${describe(branch)}`, branch, 'an object with kernel, dilation and groups')
    }
    checkFields(name, branch, fields.branch, `branches[${m}].`)
  })
  if (layer.attention !== null) checkFields(name, layer.attention as Record<string, unknown>, fields.attention, 'attention.')
}

/** What only the whole network shows: that shapes fit, that tensor names are unique, and that the last layer gives the classes. */
function checkWhole(spec: ModelSpec): void {
  const last = spec.layers.at(-1)!
  const shape = inferShapes(spec).get(last.name)!
  if (shape[0] !== 1 || shape[1] !== 1 || shape[2] !== spec.classes) {
    throw layerError(last.name, `the network's output is ${shape.join('x')}`, shape, `1x1x${spec.classes}, one number a class`)
  }
  const names = new Set<string>()
  for (const { name, shape } of tensorInfos(spec)) {
    if (names.has(name)) throw specError(`the tensor ${name}`, name, 'tensor names that are used once')
    names.add(name)
    const elements = shape.reduce((product, side) => product * side, 1)
    if (elements > LARGEST_TENSOR) throw specError(`the size of ${name}`, elements, `at most ${LARGEST_TENSOR} numbers`)
  }
}

function checkInit(spec: ModelSpec, init: unknown): void {
  if (!isObject(init)) throw specError('init', init, 'an object of tensor names')
  const names = tensorInfos(spec).map((tensor) => tensor.name)
  for (const [name, rule] of Object.entries(init)) {
    if (!names.includes(name)) throw specError(`init.${name}`, name, "a tensor's name", didYouMean(name, names))
    const ok =
      isObject(rule) &&
      (rule.kind === 'he_fan_in' ||
        (rule.kind === 'normal' && positive.accepts(rule.std)) ||
        (rule.kind === 'constant' && Number.isFinite(rule.value)))
    if (!ok) throw specError(`init.${name}`, rule, "{ kind: 'he_fan_in' }, { kind: 'normal', std } or { kind: 'constant', value }")
  }
}

function specError(what: string, got: unknown, expected: string, hint?: string): SknetError {
  const message = `Model: ${what} is ${describe(got)}; expected ${expected}${hint === undefined ? '' : `. ${hint}`}`
  return new SknetError('ERR_SKNET_MODEL', message, { got, expected, ...(hint === undefined ? {} : { hint }) })
}
