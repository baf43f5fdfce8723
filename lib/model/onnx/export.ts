/** A network as an ONNX file: NCHW float input `input`, already normalised, to `logits` [batch, classes]. */
import { setImmediate } from 'node:timers/promises'
import { badOption, boolean, integer, knownKeys, optional } from '../../check.js'
import { replaceFile } from '../../checkpoint/files.js'
import { SknetError } from '../../errors.js'
import { packageVersion } from '../../version.js'
import type { Preprocessing } from '../preprocessing.js'
import { inferShapes, inputShape } from '../shapes.js'
import type { InputSize } from '../shapes.js'
import { INPUT } from '../spec.js'
import type { BatchNormLayer, ModelSpec } from '../spec.js'
import { tensorInfos } from '../tensors.js'
import { GraphDraft, OUTPUT } from './graph.js'
import { matrixProduct, translateLayer } from './layers.js'
import type { Translation } from './layers.js'
import { modelParts, sizeOf } from './proto.js'

export interface OnnxOptions {
  /** Version of ONNX's operators, 17 to 23; default 17, which every current runtime reads. */
  opset?: number
  /** Images of one run, or 'dynamic' (default): any number. */
  batch?: number | 'dynamic'
  /** Side of the input in pixels, or height and width, or 'dynamic': any; default: the network's own. */
  size?: InputSize | 'dynamic'
  /** true (default): batch norm goes into the convolution before it, which is faster and differs by rounding. false: kept as it is. */
  foldBatchNorm?: boolean
}

export interface OnnxReport {
  path: string
  opset: number
  batch: number | 'dynamic'
  /** [height, width], or 'dynamic'. */
  size: [number, number] | 'dynamic'
  nodes: number
  bytes: number
  sha256: string
}

export interface ExportedModel {
  spec: ModelSpec
  classNames: string[] | undefined
  preprocessing: Preprocessing
  weights: ReadonlyMap<string, Float32Array>
}

export const onnxKeys = ['opset', 'batch', 'size', 'foldBatchNorm'] as const

/** The version of the file format that came with a version of the operators. */
const irVersions: Record<number, number> = { 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11 }
/** Protobuf's own limit. */
const LARGEST_FILE = 2 ** 31 - 1

/** Writes the file beside and renames it. Throws ERR_SKNET_OPTION, ERR_SKNET_MODEL (an input too small), ERR_SKNET_CHECKPOINT_IO. */
export async function exportOnnx(path: string, options: OnnxOptions, model: ExportedModel): Promise<OnnxReport> {
  if (typeof path !== 'string' || path === '') badOption('path', path, 'a path')
  const { opset, batch, size, fold } = checkOptions(options, model.spec)
  const { spec, weights } = model
  const [height, width] = size === 'dynamic' ? ['height', 'width'] : size
  const graph = await translate(spec, weights, fold)
  const parts = modelParts({
    irVersion: irVersions[opset]!,
    opset,
    producerVersion: packageVersion(),
    graph: {
      name: spec.arch,
      nodes: graph.nodes,
      initializers: graph.initializers,
      inputs: [{ name: 'input', dims: [batch === 'dynamic' ? 'batch' : batch, spec.input.channels, height, width] }],
      outputs: [{ name: OUTPUT, dims: [batch === 'dynamic' ? 'batch' : batch, spec.classes] }],
    },
    metadata: metadataOf(model),
  })
  const bytes = sizeOf(parts)
  if (bytes > LARGEST_FILE) {
    const expected = `at most ${LARGEST_FILE} bytes, protobuf's limit`
    throw new SknetError('ERR_SKNET_MODEL', `${spec.arch} would be ${bytes} bytes as ONNX; expected ${expected}`, { got: bytes, expected })
  }
  const { sha256 } = await replaceFile(path, parts)
  return { path, opset, batch, size, nodes: graph.nodes.length, bytes, sha256 }
}

function checkOptions(options: OnnxOptions, spec: ModelSpec) {
  const given = knownKeys('', options, onnxKeys)
  const opset = optional(given.opset, 17, (v) => integer('opset', v, { min: 17, max: 23 }))
  const batch = optional<number | 'dynamic'>(given.batch, 'dynamic', (v) =>
    v === 'dynamic'
      ? v
      : typeof v === 'number'
        ? integer('batch', v, { min: 1, max: 65536 })
        : badOption('batch', v, "a number or 'dynamic'"),
  )
  const size = optional<[number, number] | 'dynamic'>(given.size, [spec.input.size, spec.input.size], (v) =>
    v === 'dynamic' ? v : sidesOf(v),
  )
  if (size !== 'dynamic') inferShapes(spec, { height: size[0], width: size[1] })
  return { opset, batch, size, fold: optional(given.foldBatchNorm, true, (v) => boolean('foldBatchNorm', v)) }
}

function sidesOf(value: unknown): [number, number] {
  const side = (option: string, v: unknown) => integer(option, v, { min: 1, max: 65536 })
  if (typeof value === 'number') return [side('size', value), side('size', value)]
  if (typeof value === 'string') badOption('size', value, "a number, { height, width } or 'dynamic'")
  const { height, width } = knownKeys('size', value, ['height', 'width'])
  return [side('size.height', height), side('size.width', width)]
}

async function translate(spec: ModelSpec, weights: ReadonlyMap<string, Float32Array>, fold: boolean): Promise<GraphDraft> {
  const graph = new GraphDraft()
  const shapes = new Map(tensorInfos(spec).map(({ name, shape }) => [name, shape]))
  const folded = fold ? foldable(spec) : new Map<string, BatchNormLayer>()
  const inside = new Map([...folded].map(([conv, norm]) => [norm.name, conv]))
  const { channels, size } = spec.input
  const activations = inferShapes(spec)
  const translation: Translation = {
    graph,
    weights,
    fold,
    folded,
    shapeOf: (name) => shapes.get(name)!,
    channelsOf: (layer) => inputShape(layer, activations, [size, size, channels])[2],
  }
  const outputs = new Map([[INPUT, 'input']])
  const last = spec.layers.at(-1)!
  for (const layer of spec.layers) {
    if (layer === last && layer.op === 'linear') break
    const conv = inside.get(layer.name)
    const inputs = layer.inputs.map((name) => outputs.get(name)!)
    outputs.set(layer.name, conv === undefined ? translateLayer(translation, layer, inputs) : outputs.get(conv)!)
    await setImmediate()
  }
  const inputs = last.inputs.map((name) => outputs.get(name)!)
  if (last.op === 'linear') matrixProduct(translation, last, inputs, OUTPUT)
  else graph.node('Flatten', `${last.name}/flat`, [outputs.get(last.name)!], { axis: 1 }, [OUTPUT])
  return graph
}

/** Convolutions that only a batch norm reads, with that batch norm. */
function foldable({ layers }: ModelSpec): Map<string, BatchNormLayer> {
  const readers = new Map<string, number>()
  for (const name of layers.flatMap(({ inputs }) => inputs)) readers.set(name, (readers.get(name) ?? 0) + 1)
  const convolutions = new Set(layers.filter(({ op }) => op === 'conv2d').map(({ name }) => name))
  const norms = layers.filter((layer): layer is BatchNormLayer => layer.op === 'batch_norm')
  return new Map(norms.filter(({ inputs: [x] }) => convolutions.has(x!) && readers.get(x!) === 1).map((norm) => [norm.inputs[0]!, norm]))
}

/** What a program needs to use the network: the labels and how to prepare a picture, as JSON. */
function metadataOf({ spec, classNames, preprocessing }: ExportedModel): Record<string, string> {
  return {
    'sknet.version': packageVersion(),
    'sknet.arch': spec.arch,
    'sknet.preprocessing': JSON.stringify(preprocessing),
    ...(classNames === undefined ? {} : { 'sknet.labels': JSON.stringify(classNames) }),
  }
}
