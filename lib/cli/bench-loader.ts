/** `sknet bench --loader`: how fast images come out of a data set, without any training. */
import { detectDataset } from '../data/detect.js'
import type { Dataset } from '../data/dataset.js'
import { imageBytes, resizePlace } from '../data/image-bytes.js'
import { openLoader, type LoaderSettings } from '../data/loader.js'
import { evalTransform, trainTransform } from '../data/presets.js'
import { awaitNative, callNative, type Loader } from '../native.js'
import type { BenchFacts } from './bench-facts.js'
import type { Args } from './command.js'
import { median, peakRssMiB } from './measure.js'
import { choice, wholeNumber } from './numbers.js'
import type { Output } from './output.js'
import { required, threadsOf } from './shared-flags.js'

/** Unless --images says otherwise: enough for a steady rate, but of a small data set only so many passes. */
const MOST_IMAGES = 20_000
const PASSES = 5

export interface LoaderRun {
  images: number
  epochs: number
  seconds: number
  /** Seconds from one batch to the next. */
  batches: number[]
  /** Files that could not be read, each once. */
  bad: Map<string, string>
  /** Of batches of bytes: theirs, and the images that were too large to be resized by the device. */
  bytes: number
  resizedOnHost: number
}

/**
 * Reads --data, epoch after epoch, until at least --images images came: decode, crop, resize, flip, normalise (train), or resize and centre
 * crop (infer). Images a second are those of all epochs together, the start of each included; secondsMedian is the time between two batches.
 * With --bytes what a CUDA device is given: `resize` tells who resizes, `resizedOnHost` how many images of the device's were too large for it,
 * `bytesPerImage` what goes up. Throws ERR_SKNET_OPTION naming the flag, ERR_SKNET_DATA.
 */
export async function benchLoader(args: Args, warmup: number, output: Output): Promise<BenchFacts> {
  const path = required(args, 'bench --loader', 'data', 'PATH', 'CIFAR binaries, a folder of images or tar shards')
  const mode = choice(args, 'mode', ['train', 'infer'])
  const split = mode === 'train' ? 'train' : 'val'
  const detected = await detectDataset(path, {}, [split])
  const dataset = detected[split]!
  const threads = threadsOf(args)
  const batch = wholeNumber(args, 'batch', 64, { min: 1, max: 65536 })
  const usual = mode === 'train' ? dataset.defaults.size : dataset.defaults.eval.crop
  const size = wholeNumber(args, 'size', usual, { min: 1, max: 8192 })
  const least = wholeNumber(args, 'images', Math.min(MOST_IMAGES, PASSES * dataset.size), { min: 1, max: 1e9 })
  const transform = mode === 'train' ? trainTransform(dataset, { size }) : evalTransform(dataset, { crop: size })
  const settings = { batchSize: batch, transform, threads, dropLast: false }
  const bytes = args.has('bytes')
  const run = await readImages(dataset, settings, least, warmup, bytes ? imageBytes(transform, 'cuda') : 0)
  for (const [file, reason] of run.bad) output.warn(`warning: ${file}: ${reason}`)
  const imagesPerSecond = run.images / run.seconds
  output.say(`${detected.kind}, ${split}, ${dataset.size} images, batch ${batch}, ${size} x ${size}, ${threads} threads`)
  output.say(
    `${imagesPerSecond.toFixed(1)} img/s: ${run.images} images in ${run.seconds.toFixed(2)} s, ${run.epochs} epochs; ${run.bad.size} files could not be read; ${peakRssMiB().toFixed(0)} MiB`,
  )
  const resize = bytes ? resizePlace(transform) : 'host'
  const bytesPerImage = bytes ? run.bytes / run.images : 12 * size * size
  if (bytes) {
    output.say(`${(bytesPerImage / 1024).toFixed(0)} KiB an image go up; resized by the ${resize}, ${run.resizedOnHost} too large for that`)
  }
  return {
    data: detected.kind,
    split,
    mode,
    batch,
    size,
    threads,
    precision: 'fp32',
    isa: callNative((binding) => binding.cpuInfo()).isaInUse,
    steps: run.batches.length,
    images: run.images,
    epochs: run.epochs,
    imagesPerSecond,
    secondsMedian: median(run.batches),
    secondsMin: Math.min(...run.batches),
    peakRssMiB: peakRssMiB(),
    peakDeviceMiB: null,
    flopsPerSecond: null,
    bad: run.bad.size,
    imageFormat: bytes ? 'uint8' : 'float32',
    resize,
    resizedOnHost: run.resizedOnHost,
    bytesPerImage,
  }
}

/** Epochs of `dataset` until `least` images came, stopping within an epoch longer than that; `warmup` batches before count nowhere. */
export async function readImages(
  dataset: Dataset,
  settings: LoaderSettings,
  least: number,
  warmup: number,
  imageBytes = 0,
): Promise<LoaderRun> {
  const run: LoaderRun = { images: 0, epochs: 0, seconds: 0, batches: [], bad: new Map(), bytes: 0, resizedOnHost: 0 }
  const readEpoch = (epoch: LoaderSettings, to: LoaderRun, done: (batches: number) => boolean): Promise<void> =>
    readBatches(openLoader(dataset, epoch, imageBytes), to, done)
  if (warmup > 0) await readEpoch(settings, { ...run, batches: [], bad: run.bad }, (batches) => batches >= warmup)
  const began = performance.now()
  for (; run.images < least; run.epochs++) {
    await readEpoch({ ...settings, epoch: run.epochs }, run, () => run.images >= least)
  }
  return { ...run, seconds: (performance.now() - began) / 1000 }
}

async function readBatches(loader: Loader, run: LoaderRun, done: (batches: number) => boolean): Promise<void> {
  let last = performance.now()
  try {
    for (let batches = 0; !done(batches); batches++) {
      const batch = await awaitNative(loader.next())
      if (batch === null) return
      const now = performance.now()
      run.batches.push((now - last) / 1000)
      last = now
      run.images += batch.labels.length
      run.bytes += batch.pictures?.bytes ?? 0
      run.resizedOnHost += batch.pictures?.resizedOnHost ?? 0
      for (const { path, reason } of batch.bad) run.bad.set(path, reason)
    }
  } finally {
    loader.dispose()
  }
}
