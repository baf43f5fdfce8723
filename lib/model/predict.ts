/** From pictures to the most likely classes. */
import { badOption, describe, integer, knownKeys, oneOf, optional } from '../check.js'
import { decodeImage } from '../data/decode-image.js'
import { defaultMaxPixels } from '../data/image-folder.js'
import { SknetError } from '../errors.js'
import { awaitNative, callNative, native } from '../native.js'
import type { Source } from '../native.js'
import { LARGEST_PIECE } from './inference.js'
import { evaluationTransform } from './preprocessing.js'
import type { Preprocessing } from './preprocessing.js'

export interface PredictOptions {
  /** Classes listed for each picture, the likeliest first; default 5, or all where there are fewer. */
  topk?: number
  /**
   * Shorter side before the centre crop; 0: no resize. Default: the model's, in proportion where `crop` is given. A model whose data came in
   * its own size (resize 0, as CIFAR's) gets pictures of any size here, so its default is the crop; one of that size stays as it is.
   */
  resize?: number
  /** Side of the centre crop, padded with black where the picture is smaller; default: the model's. */
  crop?: number
  interpolation?: 'bilinear' | 'bicubic'
  device?: string
  threads?: number
}

export interface Prediction {
  /** As given; null for a picture given as bytes. */
  path: string | null
  /** `score` is the softmax probability. */
  top: { index: number; label: string; score: number }[]
}

/** The raw answer for one picture. */
export interface PictureLogits {
  path: string | null
  logits: Float32Array
}

export interface Predictor {
  classes: number
  forward(images: Float32Array, shape: [number, number, number, number]): Promise<Float32Array>
}

export const predictKeys = ['topk', 'resize', 'crop', 'interpolation', 'device', 'threads'] as const

/** Checks everything but device and threads; throws ERR_SKNET_OPTION. */
export function checkPredictOptions(options: unknown, classes: number, own: Preprocessing): { topk: number; view: Preprocessing } {
  const given = knownKeys('', options, predictKeys)
  const topk = optional(given.topk, Math.min(5, classes), (v) => integer('topk', v, { min: 1, max: classes }))
  const crop = optional(given.crop, own.crop, (v) => integer('crop', v, { min: 1, max: 16384 }))
  const resize = optional(given.resize, usualResize(own, crop), (v) => integer('resize', v, { min: 0, max: 16384 }))
  const interpolation = optional(given.interpolation, own.interpolation, (v) => oneOf('interpolation', v, ['bilinear', 'bicubic']))
  return { topk, view: { ...own, resize, crop, interpolation } }
}

/**
 * Logits of every picture, in the order given. `pictures` are paths, or the bytes of JPEG or PNG files.
 * Throws ERR_SKNET_DECODE naming the first picture that cannot be read; none is then returned.
 */
export async function pictureLogits(model: Predictor, pictures: unknown, view: Preprocessing, threads: number): Promise<PictureLogits[]> {
  if (!Array.isArray(pictures)) badOption('images', pictures, 'an array of paths or Buffers')
  const checked = pictures.map((p: unknown, i) => {
    if (p instanceof Uint8Array || (typeof p === 'string' && p !== '')) return p
    return badOption(`images[${i}]`, p, 'a path or a Buffer')
  })
  const results = new Array<PictureLogits>(checked.length)
  const paths = checked.flatMap((p, at) => (typeof p === 'string' ? [{ path: p, at }] : []))
  if (paths.length > 0) {
    const labels = new Int32Array(paths.length)
    const source = callNative(
      ({ Source }) => new Source({ kind: 'files', paths: paths.map(({ path }) => path), labels, maxPixels: defaultMaxPixels }),
    )
    const logits = await sourceLogits(model, source, view, threads)
    paths.forEach(({ path, at }, i) => (results[at] = { path, logits: logits[i]! }))
  }
  for (const [at, bytes] of checked.entries()) {
    if (typeof bytes === 'string') continue
    const image = await decodeImage(bytes).catch((cause: unknown) => {
      throw undecodable(`images[${at}]`, cause instanceof Error ? cause.message : describe(cause), cause)
    })
    const { data, width, height } = image
    const source = callNative(({ Source }) => new Source({ kind: 'memory', images: data, labels: new Int32Array(1), height, width }))
    results[at] = { path: null, logits: (await sourceLogits(model, source, view, threads))[0]! }
  }
  return results
}

/** The k likeliest classes with their softmax probabilities; among equals the lower index first. */
export function topClasses(logits: Float32Array, k: number, label: (index: number) => string): Prediction['top'] {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity)
  const powers = Array.from(logits, (v) => Math.exp(v - largest))
  const total = powers.reduce((a, b) => a + b, 0)
  const order = Array.from(powers.keys()).sort((a, b) => powers[b]! - powers[a]! || a - b)
  return order.slice(0, k).map((index) => ({ index, label: label(index), score: powers[index]! / total }))
}

async function sourceLogits(model: Predictor, source: Source, view: Preprocessing, threads: number): Promise<Float32Array[]> {
  const transform = evaluationTransform(view)
  const order = { seed: 0, epoch: 0, shuffle: false, dropLast: false, skipBatches: 0 }
  const batchSize = Math.min(LARGEST_PIECE, source.size)
  const loader = callNative(() => new (native().Loader)(source, { ...order, batchSize, transform, threads, ahead: 1, onBadSample: 'skip' }))
  const results: Float32Array[] = []
  try {
    for (let batch = await awaitNative(loader.next()); batch !== null; batch = await awaitNative(loader.next())) {
      const bad = batch.bad[0]
      if (bad !== undefined) throw undecodable(bad.path, bad.reason)
      const n = batch.labels.length
      const logits = await model.forward(batch.images, [n, view.crop, view.crop, 3])
      for (let i = 0; i < n; i++) results.push(logits.slice(i * model.classes, (i + 1) * model.classes))
    }
  } finally {
    loader.dispose()
  }
  return results
}

function undecodable(path: string, reason: string, cause?: unknown): SknetError {
  const details = { path, got: reason, expected: 'a JPEG or PNG picture', ...(cause === undefined ? {} : { cause }) }
  return new SknetError('ERR_SKNET_DECODE', `${path} cannot be decoded: ${reason}`, details)
}

function usualResize(own: Preprocessing, crop: number): number {
  return own.resize === 0 ? crop : Math.round((own.resize * crop) / own.crop)
}
