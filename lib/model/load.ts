/** Models from stored weights. */
import { setImmediate } from 'node:timers/promises'
import { badOption, boolean, integer, isObject, knownKeys, oneOf, optional } from '../check.js'
import { toFloat32 } from '../checkpoint/safetensors.js'
import type { SafeTensor } from '../checkpoint/safetensors.js'
import { SknetError } from '../errors.js'
import { caffeNote, fitToCaffe } from './caffe.js'
import { Model } from './model.js'
import type { LoadReport } from './model.js'
import { recognizeNames } from './names.js'
import { canonicalName, specOf } from './registry.js'
import type { CreateOptions } from './registry.js'
import type { ModelSpec } from './spec.js'
import { readStored } from './stored.js'
import type { StoredModel } from './stored.js'
import { elementCount, tensorInfos } from './tensors.js'
import type { TensorInfo } from './tensors.js'
import { checkSpec } from './validate.js'

export interface LoadOptions {
  /** A model's name; needed for a file that carries no spec, such as one of timm's. */
  arch?: string
  /** Options of arch, as createModel takes them, where the file's network is not the plain one. */
  options?: CreateOptions
  /** Classes of the head; default: those of the stored one. */
  classes?: number
  /** 'replace': where the stored head has other classes, the model's starts fresh. Default 'keep': that is an error. */
  head?: 'keep' | 'replace'
  /** false: tensors that are missing keep fresh values, unexpected ones are left out; `report` lists both. Default true: an error. */
  strict?: boolean
  /** Decides the fresh values of what the file does not have. */
  seed?: number
}

/** Numbers converted between two turns of the event loop. */
const SLICE = 1 << 20

/**
 * A model from a safetensors file, PyTorch's .pth (nothing in it is run), a .caffemodel, a model folder, a checkpoint or a run. The names of a file's tensors
 * may be our own (timm's), torchvision's, pytorchcv's or Caffe's; F32, F64, F16 and BF16 are read. `report` says what was done.
 * Throws ERR_SKNET_WEIGHTS naming the tensor whose shape differs, is missing, unexpected or not finite; ERR_SKNET_OPTION; ERR_SKNET_FORMAT;
 * ERR_SKNET_CHECKPOINT_INVALID.
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<Model> {
  const given = knownKeys('', options, ['arch', 'options', 'classes', 'head', 'strict', 'seed'])
  if (typeof path !== 'string' || path === '') badOption('path', path, 'a path')
  const arch = given.arch === undefined ? undefined : canonicalName(given.arch as string, 'arch')
  const classes = optional<number | undefined>(given.classes, undefined, (v) => integer('classes', v, { min: 1, max: 1 << 20 }))
  const replaceHead = optional(given.head, 'keep', (v) => oneOf('head', v, ['keep', 'replace'])) === 'replace'
  const strict = optional(given.strict, true, (v) => boolean('strict', v))
  const seed = optional(given.seed, 0, (v) => integer('seed', v, { min: 0 }))

  const stored = await readStored(path)
  const named = chooseSpec(stored, arch, given.options as CreateOptions | undefined)
  const { style, names } = recognizeNames(named, stored.tensors.keys())
  const base = stored.caffe === undefined ? named : fitToCaffe(named, path, stored.caffe, names, stored.tensors)
  const find: Find = (name) => stored.tensors.get(names.get(name)!)
  const wanted = classes ?? storedClasses(find, base)
  const spec = wanted === base.classes ? base : withClasses(base, wanted)
  const model = new Model(spec, { seed })
  const { weights, report } = await matchTensors(stored, spec, find, { replaceHead, strict })
  const known = new Set(names.values())
  report.unexpected = [...stored.tensors.keys()].filter((name) => !known.has(name) && !name.endsWith('.num_batches_tracked'))
  report.names = style
  if (strict) checkComplete(report)
  model.setWeights(weights, { strict: false })
  describeModel(model, stored)
  model.report = report
  return model
}

/** The stored tensor that a tensor of ours is in the file. */
type Find = (name: string) => SafeTensor | undefined

function chooseSpec(stored: StoredModel, arch: string | undefined, options: CreateOptions | undefined): ModelSpec {
  if (options !== undefined) return specOf(arch ?? badOption('options', options, 'options along with arch'), options, 'arch')
  const own = stored.spec
  if (arch === undefined && own === null) {
    const expected = "the model's name, such as sknet50"
    throw new SknetError('ERR_SKNET_OPTION', `${stored.path} does not say what model it is of; give arch: ${expected}`, {
      option: 'arch',
      path: stored.path,
      expected,
    })
  }
  return own !== null && (arch === undefined || own.arch === arch) ? own : specOf(arch!, {}, 'arch')
}

/** Rows of the stored head where it is one for this network, else the network's own classes. */
function storedClasses(find: Find, spec: ModelSpec): number {
  const { name } = spec.layers.at(-1)!
  const [weight, bias] = [find(`${name}.weight`), find(`${name}.bias`)]
  const rows = weight?.shape[0]
  return rows !== undefined && rows >= 1 && bias?.shape.join() === String(rows) ? rows : spec.classes
}

/** The same network with another head. */
function withClasses(spec: ModelSpec, classes: number): ModelSpec {
  const last = spec.layers.at(-1)!
  if (last.op !== 'linear') badOption('classes', classes, `${spec.classes}: the last layer of ${spec.arch} is ${last.op}`)
  return checkSpec({ ...spec, classes, layers: [...spec.layers.slice(0, -1), { ...last, out: classes }] })
}

async function matchTensors(
  stored: StoredModel,
  spec: ModelSpec,
  find: Find,
  { replaceHead, strict }: { replaceHead: boolean; strict: boolean },
): Promise<{ weights: Map<string, Float32Array>; report: LoadReport }> {
  const { path, format, skipped } = stored
  const none = { loaded: [], missing: [], unexpected: [], reshaped: [], replaced: [], nonFinite: [] }
  const notes = format === 'caffe' ? [caffeNote] : []
  const report: LoadReport = { path, format, names: 'timm', ...none, skipped, notes }
  const weights = new Map<string, Float32Array>()
  const head = `${spec.layers.at(-1)!.name}.`
  let converted = 0
  for (const info of tensorInfos(spec)) {
    const tensor = find(info.name)
    const inHead = info.name.startsWith(head)
    if (tensor === undefined) {
      report.missing.push(info.name)
      continue
    }
    if (!sameNumbers(tensor.shape, info.shape)) {
      if (!inHead || !replaceHead) throw shapeError(stored, info, tensor, inHead)
      report.replaced.push(info.name)
      continue
    }
    if (tensor.shape.join() !== info.shape.join()) report.reshaped.push({ name: info.name, got: tensor.shape, expected: info.shape })
    const data = toFloat32(tensor, info.name)
    if (!isFinite(data)) {
      if (strict) throw nonFiniteError(path, info.name, data)
      report.nonFinite.push(info.name)
    }
    report.loaded.push(info.name)
    weights.set(info.name, data)
    converted += elementCount(info.shape)
    if (converted >= SLICE) {
      converted = 0
      await setImmediate()
    }
  }
  return { weights, report }
}

function isFinite(data: Float32Array): boolean {
  for (const value of data) if (!Number.isFinite(value)) return false
  return true
}

/** Shapes that differ by sides of 1 only hold the same numbers in the same order: a 1x1 convolution and a matrix. */
function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  const significant = (shape: readonly number[]) => shape.filter((side) => side !== 1).join()
  return significant(a) === significant(b)
}

function checkComplete({ path, missing, unexpected }: LoadReport): void {
  const first = missing[0] ?? unexpected[0]
  if (first === undefined) return
  const counts = `${missing.length} tensors of the model are missing and ${unexpected.length} others are there`
  const what = missing.length > 0 ? `${first} is missing` : `${first} belongs to no layer`
  const hint = 'Check arch and its options; strict: false loads what fits'
  throw new SknetError('ERR_SKNET_WEIGHTS', `${path}: ${what} (${counts}). ${hint}`, {
    path,
    tensor: first,
    got: missing.length > 0 ? 'missing' : 'unexpected',
    expected: "exactly the model's tensors",
    hint,
  })
}

function shapeError({ path, spec: stored }: StoredModel, { name, shape }: TensorInfo, tensor: SafeTensor, inHead: boolean): SknetError {
  const hint = inHead
    ? `Give classes: ${tensor.shape[0] ?? 1} to keep this head, or head: 'replace' (--replace-head) to start a new one`
    : stored === null
      ? 'Check arch and its options'
      : `The file says that it is of ${stored.arch}`
  const message = `${path}: ${name} is ${tensor.shape.join('x')}; expected ${shape.join('x')}. ${hint}`
  return new SknetError('ERR_SKNET_WEIGHTS', message, { path, tensor: name, got: tensor.shape, expected: shape.join('x'), hint })
}

/** One number that is not finite makes every answer NaN, so such weights are of no use but to those who look into them. */
function nonFiniteError(path: string, name: string, data: Float32Array): SknetError {
  const got = data.find((value) => !Number.isFinite(value))
  const hint = 'strict: false loads them all the same'
  const message = `${path}: ${name} holds ${got}; expected finite numbers. ${hint}`
  return new SknetError('ERR_SKNET_WEIGHTS', message, { path, tensor: name, got, expected: 'finite numbers', hint })
}

/** Names fit only the classes they were stored with. */
function describeModel(model: Model, { spec, config }: StoredModel): void {
  const { classNames, preprocessing, info } = config
  if (Array.isArray(classNames) && spec?.classes === model.spec.classes) model.classNames = classNames as string[]
  if (isObject(info)) model.info = info
  if (preprocessing !== undefined) model.preprocessing = preprocessing as Model['preprocessing']
}
