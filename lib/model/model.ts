/** A network with its weights: what every other part of the package works on. */
import { badOption, integer, isObject, knownKeys, list, optional, text } from '../check.js'
import type { WeightsFormat } from '../checkpoint/weights-file.js'
import { resolveDevice } from '../device.js'
import { callNative } from '../native.js'
import { countLayers, sumOf } from './count.js'
import { specOfBlocks } from './define.js'
import type { NetworkDefinition } from './define.js'
import type { Block } from './define-blocks.js'
import { Inference } from './inference.js'
import type { NameStyle } from './name-schemes.js'
import { exportOnnx } from './onnx/export.js'
import type { OnnxOptions, OnnxReport } from './onnx/export.js'
import { checkPredictOptions, pictureLogits, topClasses } from './predict.js'
import type { PictureLogits, Prediction, PredictOptions } from './predict.js'
import { checkPreprocessing, defaultPreprocessing } from './preprocessing.js'
import type { Preprocessing } from './preprocessing.js'
import { saveModel } from './save.js'
import type { ModelInfo, SaveOptions } from './save.js'
import type { InputSize } from './shapes.js'
import type { ModelSpec } from './spec.js'
import { summarize } from './summary.js'
import type { Summary } from './summary.js'
import { tensorInfos } from './tensors.js'
import type { TensorInfo } from './tensors.js'
import { checkSpec } from './validate.js'
import { Weights } from './weights.js'

/** What loading weights did, tensor by tensor. */
export interface LoadReport {
  /** The file or folder the weights came from. */
  path: string
  format: WeightsFormat
  /** Whose names the file's tensors have. */
  names: NameStyle
  loaded: string[]
  /** Tensors of the model that the file lacks; they keep their fresh values. */
  missing: string[]
  /** Tensors of the file that the model lacks, by the file's names; num_batches_tracked, which PyTorch counts for itself, is passed over. */
  unexpected: string[]
  /** Same numbers in another shape, such as a 1x1 convolution stored as a matrix. */
  reshaped: { name: string; got: number[]; expected: number[] }[]
  /** Tensors of the head that did not fit and were left fresh (`head: 'replace'`). */
  replaced: string[]
  /** Tensors that hold NaN or infinities (`strict: false`; else they are an error). */
  nonFinite: string[]
  /** Newer checkpoints of the run that are not whole and were passed over. */
  skipped: { path: string; reason: string }[]
  /** What else to know before the model is used. */
  notes: string[]
}

export interface ForwardOptions {
  /** [images, height, width, channels] of x. */
  shape: readonly [number, number, number, number]
  /** auto (default), cpu, cuda, cuda:N */
  device?: string
  /** Native threads; default: all the process may use. */
  threads?: number
}

export interface ModelOptions {
  /** Decides the fresh weights; default 0. */
  seed?: number
  classNames?: string[]
  preprocessing?: Preprocessing
  /** What createModel was given besides; kept to say where the spec came from. */
  builtWith?: Readonly<Record<string, unknown>>
}

export class Model {
  readonly spec: ModelSpec
  /** Options of createModel that made the spec another one than the name's own; a run's config.json tells them. */
  readonly builtWith: Readonly<Record<string, unknown>>
  /** Set by loadModel. */
  report?: LoadReport
  /** What is known of the weights: recipe, options, metrics, source. Saved with them; training sets it anew. */
  info: ModelInfo = {}
  readonly #weights: Weights
  readonly #inference: Inference
  #revision = 0
  #classNames: string[] | undefined
  #preprocessing: Preprocessing

  /** Throws ERR_SKNET_MODEL for a bad spec, ERR_SKNET_OPTION for a bad option. Nothing native is touched. */
  constructor(spec: ModelSpec, options: ModelOptions = {}) {
    const given = knownKeys('', options, ['seed', 'classNames', 'preprocessing', 'builtWith'])
    this.spec = checkSpec(spec)
    this.builtWith = options.builtWith ?? {}
    this.#weights = new Weights(
      this.spec,
      optional(given.seed, 0, (v) => integer('seed', v, { min: 0 })),
    )
    this.#inference = new Inference(this.spec, () => this.#weights.all())
    this.#preprocessing = given.preprocessing === undefined ? defaultPreprocessing(this.spec) : checkPreprocessing(given.preprocessing)
    if (given.classNames !== undefined) this.classNames = given.classNames as string[]
  }

  /** Trained numbers. */
  get params(): number {
    return sumOf(countLayers(this.spec), 'params')
  }

  /** One name a class, where they are known. */
  get classNames(): string[] | undefined {
    return this.#classNames
  }

  set classNames(names: string[] | undefined) {
    const { classes } = this.spec
    this.#classNames = names === undefined ? undefined : list('classNames', names, text, { min: classes, max: classes })
  }

  /** How evaluation prepares a picture; saved with the model. */
  get preprocessing(): Preprocessing {
    return this.#preprocessing
  }

  set preprocessing(value: Preprocessing) {
    this.#preprocessing = checkPreprocessing(value)
  }

  /** The class's name, or its number where no names are known. */
  label(index: number): string {
    return this.#classNames?.[index] ?? String(index)
  }

  /** Multiply-accumulates of convolutions and linear layers for one image of `size` (default: the model's own). */
  macs(options: { size?: InputSize } = {}): number {
    return sumOf(countLayers(this.spec, sizeOf(this.spec, options)), 'macs')
  }

  summary(options: { size?: InputSize } = {}): Summary {
    return summarize(this.spec, sizeOf(this.spec, options))
  }

  /** Names, shapes and kinds of all tensors, in the spec's order. */
  tensors(): readonly TensorInfo[] {
    return tensorInfos(this.spec)
  }

  /**
   * The model's tensors by name (OIHW), made from the seed on first use. The arrays are the model's own: who changes them
   * calls weights() or setWeights() again before the next forward, which reads them anew then.
   */
  weights(): Map<string, Float32Array> {
    this.#revision++
    this.#inference.invalidate()
    return this.#weights.all()
  }

  /**
   * Copies tensors in. `strict` (default true): all of the model's and no others; false: those that are there.
   * Throws ERR_SKNET_WEIGHTS naming the tensor; then none was changed.
   */
  setWeights(tensors: ReadonlyMap<string, Float32Array>, options: { strict?: boolean } = {}): void {
    this.#weights.set(tensors, options.strict ?? true)
    this.#revision++
    this.#inference.invalidate()
  }

  /**
   * For trainers, whose weights are in a plan: `newer` gives the model's weights when they are next asked for (Weights.follow).
   * @internal
   */
  followWeights(newer: () => ReadonlyMap<string, Float32Array>): () => void {
    this.#revision++
    this.#inference.invalidate()
    return this.#weights.follow(newer)
  }

  /**
   * Rises when the weights changed or, as somebody has the arrays, may have.
   * @internal
   */
  get weightsRevision(): number {
    return this.#revision
  }

  /**
   * Evaluation mode: running statistics. x is NHWC, already normalised; it must not change before the promise settles.
   * Throws ERR_SKNET_OPTION, ERR_SKNET_DEVICE, ERR_SKNET_DISPOSED.
   */
  async forward(x: Float32Array, options: ForwardOptions): Promise<{ logits: Float32Array; shape: [number, number] }> {
    const given = knownKeys('', options, ['shape', 'device', 'threads'])
    const where = { device: resolveDevice(given.device), threads: this.#threads(given.threads) }
    const side = (option: string, v: unknown) => integer(option, v, { min: 1, max: 65536 })
    const shape = list('shape', given.shape, side, { min: 4, max: 4 }) as [number, number, number, number]
    const { channels } = this.spec.input
    if (shape[3] !== channels) badOption('shape[3]', shape[3], `${channels}, the channels of ${this.spec.arch}`)
    const length = shape.reduce((product, s) => product * s, 1)
    if (!(x instanceof Float32Array) || x.length !== length) {
      badOption('x', x instanceof Float32Array ? x.length : x, `a Float32Array of ${length} numbers (${shape.join('x')})`)
    }
    const logits = await this.#inference.forward({ images: x, shape, ...where })
    return { logits, shape: [shape[0], this.spec.classes] }
  }

  /**
   * The likeliest classes of each picture; `images` are paths or the bytes of JPEG or PNG files. Throws ERR_SKNET_OPTION, and
   * ERR_SKNET_DECODE naming the first picture that cannot be read: then none is answered.
   */
  async predict(images: readonly (string | Uint8Array)[], options: PredictOptions = {}): Promise<Prediction[]> {
    const { topk } = checkPredictOptions(options, this.spec.classes, this.#preprocessing)
    const answers = await this.pictureLogits(images, options)
    return answers.map(({ path, logits }) => ({ path, top: topClasses(logits, topk, (i) => this.label(i)) }))
  }

  /** The same pictures' logits, for those who judge themselves. */
  async pictureLogits(images: readonly (string | Uint8Array)[], options: PredictOptions = {}): Promise<PictureLogits[]> {
    const { view } = checkPredictOptions(options, this.spec.classes, this.#preprocessing)
    const where = { device: resolveDevice(options.device), threads: this.#threads(options.threads) }
    const forward = (x: Float32Array, shape: [number, number, number, number]) => this.#inference.forward({ images: x, shape, ...where })
    const { classes } = this.spec
    return pictureLogits({ classes, forward }, images, view, where.threads)
  }

  /**
   * A path ending in `.safetensors`: one file, with spec, class names and preprocessing in its metadata; any other: a folder with
   * `model.safetensors`, `config.json` and `README.md`. Tensor names are timm's, which are our own, unless `names` says otherwise; a file with other names
   * is for other tools, and loadModel reads it, too. Written beside and renamed. Throws ERR_SKNET_OPTION, ERR_SKNET_CHECKPOINT_IO.
   */
  save(path: string, options: SaveOptions = {}): Promise<void> {
    return saveModel(path, options, {
      spec: this.spec,
      classNames: this.#classNames,
      preprocessing: this.#preprocessing,
      info: this.info,
      weights: this.#weights.all(),
    })
  }

  /**
   * An ONNX file: input `input` [batch, channels, height, width], already normalised, output `logits` [batch, classes]; labels and preprocessing
   * are in its metadata. Throws ERR_SKNET_OPTION, ERR_SKNET_MODEL where the input is too small, ERR_SKNET_CHECKPOINT_IO.
   */
  exportOnnx(path: string, options: OnnxOptions = {}): Promise<OnnxReport> {
    const [spec, classNames, preprocessing] = [this.spec, this.#classNames, this.#preprocessing]
    return exportOnnx(path, options, { spec, classNames, preprocessing, weights: this.#weights.all() })
  }

  /** Frees native memory, once calls under way are done; weights and spec stay readable. */
  dispose(): void {
    void this.#inference.dispose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inference.dispose()
  }

  #threads(threads: unknown): number {
    const asked = optional(threads, undefined, (v): number | undefined => integer('threads', v, { min: 1, max: 4096 }))
    return asked ?? callNative((binding) => binding.cpuInfo()).threads
  }
}

/**
 * A model of a spec of one's own, or of blocks (define-blocks.ts) that take each other's channels. Throws ERR_SKNET_MODEL naming the layer or
 * block that does not fit, ERR_SKNET_OPTION for options that are none.
 */
export function defineModel(spec: ModelSpec, options?: ModelOptions): Model
export function defineModel<const B extends readonly Block[]>(network: NetworkDefinition<B>, options?: ModelOptions): Model
export function defineModel(network: ModelSpec | NetworkDefinition<readonly Block[]>, options: ModelOptions = {}): Model {
  return new Model(isObject(network) && 'blocks' in network ? specOfBlocks(network) : (network as ModelSpec), options)
}

/** `value` as a model, for functions that take one. Throws ERR_SKNET_OPTION. */
export function asModel(value: unknown): Model {
  return value instanceof Model ? value : badOption('model', value, 'a model such as createModel() or loadModel() gives')
}

function sizeOf(spec: ModelSpec, options: { size?: InputSize }): InputSize {
  const { size } = knownKeys('', options, ['size'])
  if (size === undefined) return spec.input.size
  const side = (option: string, v: unknown) => integer(option, v, { min: 1, max: 65536 })
  if (typeof size === 'number') return side('size', size)
  const { height, width } = knownKeys('size', size, ['height', 'width'])
  return { height: side('size.height', height), width: side('size.width', width) }
}
