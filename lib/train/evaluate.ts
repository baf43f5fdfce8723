/** Accuracy and loss of a model on a data set. */
import { badOption, integer, knownKeys, list, oneOf, optional } from '../check.js'
import { asDataset, type Dataset } from '../data/dataset.js'
import { imageBytes } from '../data/image-bytes.js'
import { openLoader, type LoaderSettings } from '../data/loader.js'
import { resolveDevice } from '../device.js'
import { SknetError } from '../errors.js'
import { asModel, type Model } from '../model/model.js'
import { awaitNative, type BadSample, type EvalTotals, type Loader, type Plan } from '../native.js'
import { abortError, cancellable } from './abort.js'
import { checkLabels } from './check-data.js'
import { BATCHES_AHEAD, modelView, type EvaluationSetup } from './views.js'
import { checkMemory, inferencePlan, threadCount, writeTensors } from './plans.js'

export interface EvaluateOptions {
  /** auto (default), cpu, cuda, cuda:N */
  device?: string
  /** Images at a time; 64 unless given. It changes memory and speed, not the result. */
  batchSize?: number
  /** Which of the two accuracies are wanted, both unless given; the result always has both. */
  topk?: (1 | 5)[]
  /** Native threads; all the process may use unless given. */
  threads?: number
  /** Shorter side before the centre crop, its size and the filter; as the model was trained unless given, else the data set's own. */
  resize?: number
  crop?: number
  interpolation?: 'bilinear' | 'bicubic'
  signal?: AbortSignal
}

export interface Evaluation {
  /** Shares from 0 to 1 of the images that were read. */
  top1: number
  top5: number
  /** Mean cross-entropy, without label smoothing. */
  loss: number
  images: number
  /** Images that could not be read; they count nowhere. */
  bad: BadSample[]
  seconds: number
}

/**
 * Evaluates in evaluation mode (running statistics), on every image, the last incomplete batch included.
 * @throws ERR_SKNET_OPTION, ERR_SKNET_DATA (labels beyond the model's classes, nothing readable), ERR_SKNET_OOM; AbortError when `signal` fires
 */
export async function evaluate(model: Model, dataset: Dataset, options: EvaluateOptions = {}): Promise<Evaluation> {
  const { spec } = asModel(model)
  asDataset('dataset', dataset)
  const checked = checkEvaluateOptions(options)
  checkLabels(dataset, spec.classes)
  const threads = threadCount(checked.threads)
  const transform = modelView(model, dataset, checked.view)
  const batchSize = Math.min(checked.batchSize, dataset.size)
  const signal = options.signal ?? new AbortController().signal
  const bytes = imageBytes(transform, checked.device)
  const plan = await inferencePlan(model, transform.height, batchSize, { device: checked.device, threads, imageBytes: bytes })
  try {
    checkMemory([plan], batchSize)
    await writeTensors(plan, 'value', model.weights())
    const result = await runEvaluation(plan, evaluationLoader({ dataset, batchSize, transform, threads, imageBytes: bytes }), signal)
    if (signal.aborted) throw abortError(signal, null)
    return result
  } finally {
    plan.dispose()
  }
}

export function evaluationLoader({ dataset, batchSize, transform, threads, imageBytes }: EvaluationSetup): Loader {
  const settings: LoaderSettings = {
    batchSize,
    seed: 0,
    epoch: 0,
    shuffle: false,
    dropLast: false,
    skipBatches: 0,
    transform,
    threads,
    ahead: BATCHES_AHEAD,
    onBadSample: 'skip',
  }
  return openLoader(dataset, settings, imageBytes)
}

/** Runs everything the loader has through the plan and disposes the loader. After an abort the numbers are those of a part. */
export async function runEvaluation(plan: Plan, loader: Loader, signal: AbortSignal): Promise<Evaluation> {
  const began = performance.now()
  try {
    if (signal.aborted) return { top1: 0, top5: 0, loss: 0, images: 0, bad: [], seconds: 0 }
    const totals = await cancellable(
      signal,
      () => plan.cancel(),
      () => awaitNative(() => plan.evaluate(loader)),
    )
    return { ...means(totals, signal), bad: totals.bad, seconds: (performance.now() - began) / 1000 }
  } finally {
    loader.dispose()
  }
}

function means(
  { images, lossSum, top1, top5, bad }: EvalTotals,
  signal: AbortSignal,
): Pick<Evaluation, 'top1' | 'top5' | 'loss' | 'images'> {
  if (images === 0 && !signal.aborted) {
    const last = bad.at(-1)
    throw new SknetError('ERR_SKNET_DATA', 'Not one image of the validation set can be read', {
      ...(last === undefined ? {} : { path: last.path, got: last.reason }),
      expected: 'readable images',
    })
  }
  const share = (count: number): number => (images === 0 ? 0 : count / images)
  return { top1: share(top1), top5: share(top5), loss: share(lossSum), images }
}

function checkEvaluateOptions(options: EvaluateOptions) {
  const given = knownKeys('', options, ['device', 'batchSize', 'topk', 'threads', 'resize', 'crop', 'interpolation', 'signal'])
  const device = resolveDevice(given.device)
  const topk = optional(given.topk, [1, 5], (v) => list('topk', v, (path, k) => integer(path, k)))
  if (topk.some((k) => k !== 1 && k !== 5)) badOption('topk', topk, 'a list of 1 and 5')
  const resize = optional<number | null>(given.resize, null, (v) => integer('resize', v, { min: 0 }))
  const crop = optional<number | null>(given.crop, null, (v) => integer('crop', v))
  const interpolation = optional<'bilinear' | 'bicubic' | null>(given.interpolation, null, (v) =>
    oneOf('interpolation', v, ['bilinear', 'bicubic']),
  )
  return {
    device,
    batchSize: optional(given.batchSize, 64, (v) => integer('batchSize', v)),
    threads: optional<number | null>(given.threads, null, (v) => integer('threads', v)),
    view: { resize, crop, interpolation },
  }
}
