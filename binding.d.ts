/**
 * The whole native surface, typed by hand; native/binding/module.cc exports exactly this (test/binding/surface.test.ts).
 * Arguments were checked in lib/ before they come here; the core still refuses what would break its own invariants, by throwing an
 * Error with `code` (ERR_SKNET_...) and, where one is meant, `option`, `got`, `expected`, `path`.
 * Methods returning a Promise work on native threads; at most one such call is in flight per object (else ERR_SKNET_BUSY).
 */
import type { Layer } from '#model/spec'

/** Each has what the ones before it have. avx512_bf16 and amx_bf16 differ from avx512 in bf16 plans only. */
export type Isa = 'portable' | 'avx2' | 'avx512' | 'avx512_bf16' | 'amx_bf16'

/** What activations are stored as; weights, sums, statistics and losses are float32 in both. */
export type Precision = 'fp32' | 'bf16'

export interface CpuInfo {
  model: string
  /** What the process may use (affinity), not what the machine has. */
  threads: number
  features: string[]
  /** Best instruction set this CPU supports. */
  isa: Isa
  /** The one in use: `isa`, or what the environment variable SKNET_ISA forces. */
  isaInUse: Isa
}

/** A shared library beside the addon that runs plans on devices of its kind, and what it finds. */
export interface PluginReport {
  name: 'cuda' | 'cuda-emulated'
  path: string
  /** Why no plan can run there; null: some device may. */
  reason: string | null
  /** CUDA versions such as '13.0': what the driver knows, what the plugin was built with. */
  driver: string | null
  runtime: string | null
  devices: {
    index: number
    name: string
    /** Compute capability, such as '9.0'. */
    capability: string
    processors: number
    bytes: number
    /** Why plans cannot run on it; null: they can. */
    reason: string | null
  }[]
  /** cuDNN, cuBLASLt, NCCL: the plugin works without them. `reason`: why one is not used. */
  libraries: { name: string; path: string | null; version: string | null; reason: string | null }[]
}

// ---------------------------------------------------------------------------------------------- plan

export interface PlanOptions {
  layers: Layer[]
  input: { height: number; width: number; channels: number }
  /** train: forward, loss, backward, SGD. infer: running statistics. block: training forward and backward from a given gradient (tests). */
  mode: 'train' | 'infer' | 'block'
  /** Images a shard; BN statistics belong to a shard. */
  shardSize: number
  /** Shards a step; a step's batch is shardSize * shards. 1 unless mode is train. */
  shards: number
  /**
   * Of a device: 0 or left out: batches are of floats. Otherwise they come from loaders that were given as many imageBytes, as bytes, and the
   * device does the rest; trainBatch and infer are refused.
   */
  imageBytes?: number
  threads: number
  /** cpu (default), cuda, cuda:N or cuda-emulated. */
  device?: string
  /** Of the CPU. */
  isa?: Isa
  /** Default fp32. */
  precision?: Precision
  /** Op name -> candidate name, to reach a particular implementation (tests, benches). */
  candidates?: Record<string, string>
  /** false: no fusion pass; every layer runs as its own op. */
  fuse?: boolean
  /** true: count the seconds of each step on a device too, where it costs overlap; the CPU always does. */
  timeSteps?: boolean
  labelSmoothing?: number
  /**
   * Of plans that train together, one a process and device; mode train. Each is given its part of the global batch; gradients, batch statistics
   * and totals are summed over all, so that all do the same update and report the global batch's numbers. The constructor returns when all ranks
   * have come, ERR_SKNET_OPTION where they do not train the same network in the same way, ERR_SKNET_PEER_LOST where one does not come, or is lost later. `id`: of makeRankId, for one plan of each rank. Default: one rank.
   */
  ranks?: { count: number; rank: number; id: Uint8Array }
  optimizer?: {
    momentum: number
    nesterov: boolean
    /** One number a parameter, in the order of tensors() restricted to kind 'param'. */
    weightDecay: Float64Array
    /** Likewise: what the rate is multiplied with; 0: the tensor is frozen, and its gradient counts in no norm. Default 1 for all. */
    lrScale?: Float64Array
    /** LARS's trust coefficient for tensors of two or more dimensions; 0, the default: plain SGD. */
    trust?: number
    /** 0: off. Otherwise the gradient is scaled so that its 2-norm is at most this. */
    gradClip: number
    /** 0: no EMA is kept. */
    emaDecay: number
  }
}

export interface TensorInfo {
  name: string
  shape: number[]
  kind: 'param' | 'buffer'
}

/** One step of the plan, as `sknet explain` prints it. */
export interface PlanStep {
  op: string
  layer: string
  phase: 'forward' | 'backward' | 'update'
  candidate: string
  /** Why earlier candidates refused, in order; where candidates are timed, why any did. */
  refused: { candidate: string; reason: string }[]
  /** How long each candidate that accepts took when the plan was built, fastest first; empty where the registry's order decided. */
  trials: { candidate: string; seconds: number }[]
  /** What else decided, for people; '' where there is nothing to tell. */
  note: string
  flops: number
  bytes: number
  /**
   * Spent in this step since the plan was built; on a device 0 without timeSteps. Of the update, which runs behind all shards, the CPU
   * counts nothing and a device all of it in the first of its steps.
   */
  seconds: number
}

/** Bytes, known before anything runs. */
export interface MemoryReport {
  parameters: number
  gradients: number
  optimizer: number
  ema: number
  activations: number
  workspace: number
  total: number
}

export type Section = 'value' | 'gradient' | 'momentum' | 'ema'

export interface BadSample {
  index: number
  path: string
  reason: string
}

/** Numbers of the steps one call ran; arrays have one entry a step. */
export interface TrainChunk {
  steps: number
  /** Mean loss over the global batch. */
  loss: Float64Array
  /** Correct top-1 predictions in the batch, from the training forward. */
  correct: Int32Array
  /** 2-norm of the summed gradient, before clipping. */
  gradNorm: Float64Array
  seconds: Float64Array
  /** Seconds of them spent waiting for data. */
  waitSeconds: Float64Array
  bad: BadSample[]
  /** Of the batches taken, images that were resized here because they were too large for it to be done on the device. */
  resizedOnHost: number
  /** The loader has no further full batch. */
  endOfEpoch: boolean
  /** The step after the last counted one had a non-finite loss or gradient; the weights were not updated with it. */
  nonFinite: null | { loss: number; gradNorm: number; indices: Int32Array }
  /** Batches that were taken from the loader behind that step; nothing was updated with them either. 0 on the CPU. */
  voided: number
}

export interface EvalTotals {
  images: number
  /** Sum of the per-image losses (no label smoothing). */
  lossSum: number
  top1: number
  top5: number
  bad: BadSample[]
}

export declare class Plan {
  constructor(options: PlanOptions)
  /** As it was asked for. */
  device(): string
  tensors(): TensorInfo[]
  steps(): PlanStep[]
  memory(): MemoryReport
  /** Copy of a tensor, in the file layout (OIHW). 'momentum' and 'gradient' exist for params in train mode, 'ema' for params and buffers. */
  read(section: Section, name: string): Float32Array
  write(section: Section, name: string, data: Float32Array): void
  /** Copies all values (or the EMA) of `from` into the values of this plan; both describe the same tensors. */
  copyFrom(from: Plan, section: 'value' | 'ema'): void
  /** Runs up to lrs.length steps, fewer when budgetMs is over, the epoch ends, cancel() was called or a number is not finite. */
  trainSteps(loader: Loader, lrs: Float64Array, budgetMs: number): Promise<TrainChunk>
  /** One step on the caller's batch: images NHWC float32 [batch, h, w, c], already normalised. labels2 and mix, both or neither: Batch. The data is copied before the call returns. */
  trainBatch(images: Float32Array, labels: Int32Array, lr: number, labels2?: Int32Array, mix?: Float32Array): Promise<TrainChunk>
  /** Evaluates everything the loader still delivers. */
  evaluate(loader: Loader): Promise<EvalTotals>
  /** n images (any n >= 1; run in pieces of shardSize) -> logits [n, classes]. */
  infer(images: Float32Array, n: number): Promise<Float32Array>
  /** block mode: y = f(x) in training mode; then gx from gy. Shapes as planned. */
  blockForward(x: Float32Array): Float32Array
  blockBackward(gy: Float32Array): Float32Array
  outputShape(): [n: number, h: number, w: number, c: number]
  /** The running call ends after its present step. */
  cancel(): void
  dispose(): void
}

// ---------------------------------------------------------------------------------------------- data

/** files: `listedAt` is when the paths were listed, in milliseconds since 1970; a file written after that is a bad sample. shards: one index a tar, '' for none. */
export type SourceOptions =
  | { kind: 'cifar'; files: string[]; labelBytes: 1 | 2; labelByte: 0 | 1 }
  | { kind: 'files'; paths: string[]; labels: Int32Array; maxPixels: number; listedAt?: number }
  | { kind: 'shards'; tars: string[]; indexes: string[]; maxPixels: number }
  | FeedSourceOptions
  | { kind: 'synthetic'; count: number; classes: number; size: number; seed: number }
  | { kind: 'memory'; images: Uint8Array; labels: Int32Array; height: number; width: number }

/** Samples that JavaScript supplies to each loader: Loader.requests() and supply(). */
export interface FeedSourceOptions {
  kind: 'feed'
  /** For people. */
  name: string
  size: number
  classes: number
  /** Left out: each sample brings its own. */
  labels?: Int32Array
  maxPixels: number
  /** Samples come one after the other only, and are shuffled within windows of so many. */
  streamWindow?: number
  /** First samples of the pieces in which they come, the bytes of each, and how many bytes are shuffled at once. */
  chunks?: Int32Array
  chunkBytes?: Float64Array
  windowBytes?: number
}

/** What a feed supplies: bytes of a JPEG or PNG file, or RGB pixels where width and height are given, or why there is nothing. */
export type FedSample = { path?: string } & ({ data: Uint8Array; label: number; width?: number; height?: number } | { fault: string })

/** The samples of one split: where they are and how they decode to RGB, 8 bits. */
export declare class Source {
  constructor(options: SourceOptions)
  readonly size: number
  labels(): Int32Array
  /** What was left out when it was opened, in words. */
  notes(): string[]
}

/** How an effect that moves pixels finds colours: nearest neighbour or bilinear; and what comes in from outside, red, green, blue of 0..255. */
interface Moving {
  interpolation?: 'nearest' | 'bilinear'
  fill?: [number, number, number]
}

/**
 * A change of a picture's pixels, its strength drawn evenly from `range`; arithmetic of Pillow and torchvision on 8-bit pictures.
 * rotate: degrees counter-clockwise. shear: pixels a pixel. translate: share of the side. brightness, contrast, saturation, sharpness: factor,
 * 1 changes nothing. hue: share of the circle. posterize: bits kept. solarize: values from here on are inverted. offset: added to a channel,
 * drawn for each. color_jitter: torchvision's ColorJitter. rand_augment: torchvision's RandAugment, 31 magnitudes.
 */
export type Effect =
  | ({ kind: 'rotate' | 'shear_x' | 'shear_y' | 'translate_x' | 'translate_y'; range: [number, number] } & Moving)
  | {
      kind: 'brightness' | 'contrast' | 'saturation' | 'hue' | 'sharpness' | 'posterize' | 'solarize' | 'offset'
      range: [number, number]
    }
  | { kind: 'autocontrast' | 'equalize' }
  | { kind: 'color_jitter'; brightness: number; contrast: number; saturation: number; hue: number }
  | ({ kind: 'rand_augment'; count: number; magnitude: number } & Moving)

/** From a decoded image to height x width x 3 floats: geometry, then (v / 255 - mean) / std per channel. */
export interface TransformOptions {
  height: number
  width: number
  /** pad_crop: pad by `pad` with the mean colour, random crop. random_resized_crop: `area`, `aspect`. resize_crop: shorter side to `resize` (0: none), centre crop. */
  geometry: 'pad_crop' | 'random_resized_crop' | 'resize_crop'
  pad: number
  area: [number, number]
  aspect: [number, number]
  resize: number
  interpolation: 'bilinear' | 'bicubic'
  /** random_resized_crop: JPEGs may be decoded at 1/2, 1/4 or 1/8 of their size where the crop stays at least as large as the result; default false. */
  dctScale?: boolean
  /** Probability of a horizontal flip. */
  flip: number
  /** Applied to the crop (pad_crop: to the picture) in this order, with random numbers keyed by (seed, epoch, sample). */
  effects?: Effect[]
  mean: [number, number, number]
  std: [number, number, number]
}

export interface LoaderOptions {
  batchSize: number
  seed: number
  epoch: number
  /** true: a permutation keyed by (seed, epoch), for sources in chunks within windows (native/data/order.h). false: the source's order. */
  shuffle: boolean
  /** Every class as often as every other; needs shuffle. Default false. */
  balanced?: boolean
  /** Places [begin, end) of every batch that this loader prepares: a rank's share. Default: all. */
  slice?: [begin: number, end: number]
  /** true: an incomplete last batch is dropped. */
  dropLast: boolean
  /** Batches of this epoch to leave out at the start (resume). */
  skipBatches: number
  transform: TransformOptions
  /**
   * Strengths of mixup and cutmix, 0 or left out: off. Images 0 and 1 of a batch are mixed with each other, 2 and 3, and so on, each pair by a
   * share drawn from Beta(strength, strength); with both strengths a pair gets one of the two, either as likely.
   */
  mixup?: number
  cutmix?: number
  /**
   * 0 or left out: batches are of floats. Otherwise of bytes, with what is left to do for a plan of as many imageBytes; so many an image
   * on the average, at least those of a finished one in whole pieces of 16. Without effects they are parts of pictures, to be resized by the plan; such as
   * are too large for the room there is, or have more than 8 times the bytes of the finished image, are resized here and counted.
   */
  imageBytes?: number
  threads: number
  /** Batches prepared ahead. */
  ahead: number
  /** replace: another sample, drawn from (seed, epoch, sample). skip: label -1, counted nowhere. */
  onBadSample: 'replace' | 'skip'
}

export interface Batch {
  /** NHWC [count, height, width, 3]; empty where the batch is of bytes, which do not leave the core. */
  images: Float32Array
  pictures?: { bytes: number; resizedOnHost: number }
  /** -1 for a skipped sample. */
  labels: Int32Array
  /** With mixup or cutmix: the other label of each image, and the share of the target that is the first one's. */
  labels2?: Int32Array
  mix?: Float32Array
  indices: Int32Array
  bad: BadSample[]
}

/** One epoch's batches, prepared by native threads in slots allocated up front. */
export declare class Loader {
  constructor(source: Source, options: LoaderOptions)
  /** Batches left, counting none in flight as delivered. */
  readonly remaining: number
  /** null at the end of the epoch. */
  next(): Promise<Batch | null>
  /**
   * Of a feed: which samples are wanted next, and `ahead`, the chunks whose samples will be wanted later; null when no more will be. A call of
   * next() may be in flight meanwhile.
   */
  requests(): Promise<{ tickets: Float64Array; indices: Int32Array; ahead: Int32Array } | null>
  /** The answer to one ticket; copied. */
  supply(ticket: number, sample: FedSample): void
  dispose(): void
}

export interface PackerOptions {
  /** original: the file's bytes, once they have proved to decode. jpeg: decoded, resized, encoded anew. raw: .npy of the resized pixels. */
  mode: 'original' | 'jpeg' | 'raw'
  /** Shorter side of pictures that are larger; 0: no resizing. Not for original. */
  shortSide: number
  quality: number
  shardBytes: number
  threads: number
  /** A permutation of `seed` instead of the source's order. */
  shuffle: boolean
  seed: number
  /** Position in that order to begin at (resume). */
  from: number
  /** Also KEY.json: the path without `root` before it, and the class. */
  info: boolean
  root: string
}

export interface ShardFacts {
  /** Positions in the packing order that it covers. */
  from: number
  to: number
  samples: number
  bytes: number
}

/** Writes a source into tar shards; their bytes do not depend on the threads, nor on where an earlier packing stopped. */
export declare class Packer {
  constructor(source: Source, options: PackerOptions)
  /** Positions done so far, those before `from` included. */
  readonly done: number
  /** The next shard and its index, fsync'd, over what is there; from === to: nothing was left and nothing is written. */
  writeShard(tar: string, index: string): Promise<ShardFacts & { bad: BadSample[] }>
  dispose(): void
}

export interface DecodedImage {
  /** RGB, row-major, [height, width, 3] */
  data: Uint8Array
  width: number
  height: number
}

export interface DecodeOptions {
  maxPixels: number
}

// ---------------------------------------------------------------------------------------------- module

export interface Binding {
  readonly version: string
  cpuInfo(): CpuInfo
  /** Loads the plugin if it is there. */
  plugin(name: PluginReport['name']): PluginReport
  /** A new id for ranks that train together (PlanOptions.ranks), from the device's library: made by one, given to all. */
  makeRankId(device: string): Uint8Array
  /** Fills `out` with Philox normal numbers of mean 0; the same (seed, stream) gives the same numbers on every machine. */
  randomNormal(out: Float32Array, options: { seed: number; stream: string; std: number }): void
  decodeImage(data: Uint8Array, options: DecodeOptions): Promise<DecodedImage>
  /** new Plan(options), on a native thread: a device's candidates are timed there, other ranks waited for. */
  openPlan(options: PlanOptions): Promise<Plan>
  /** What such a plan would take; only what timing a device's candidates needs is allocated, and freed again. */
  planMemory(options: PlanOptions): MemoryReport
  /** new Source(options), on a native thread. */
  openSource(options: SourceOptions): Promise<Source>
  /** Throws at the first thing that differs from the index; `quick` reads the index only. */
  verifyShard(tar: string, index: string, quick: boolean): Promise<ShardFacts>
  Packer: typeof Packer
  Plan: typeof Plan
  Source: typeof Source
  Loader: typeof Loader
}
