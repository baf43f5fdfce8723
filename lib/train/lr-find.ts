/**
 * Learning-rate range test (Smith 2017, "Cyclical learning rates", section 3.3): some steps of training with a rate that grows
 * exponentially. The rate at which the loss falls fastest is a good one to train with; the model itself is left as it was.
 */
import { badOption, integer, number } from '../check.js'
import { asDataset, type Dataset } from '../data/dataset.js'
import { asModel, type Model } from '../model/model.js'
import { awaitNative, type Loader } from '../native.js'
import { abortError, cancellable } from './abort.js'
import { checkOptions, resolveOptions } from './options.js'
import { checkData } from './open.js'
import type { PartialTrainOptions, TrainOptions } from './option-types.js'
import { checkMemory, trainPlan, threadCount, writeTensors } from './plans.js'
import { checkRecipe, defaultRecipe, type Recipe, type RecipeName } from './recipes.js'
import { trainingBatches, trainingImageBytes, trainingSize } from './views.js'

export interface LrFindOptions extends PartialTrainOptions {
  /** Where batch size, momentum and the like come from; as for a Trainer. */
  recipe?: Recipe | RecipeName
  /** First and last rate; 1e-5 and 10 unless given. */
  min?: number
  max?: number
  /** Steps from the one to the other, 100 unless given; fewer are made when the loss runs away. */
  steps?: number
  signal?: AbortSignal
}

export interface LrPoint {
  lr: number
  /** Loss of the step made with it. */
  loss: number
  /** Moving average of the losses, corrected for its start. */
  smoothed: number
}

export interface LrFinding {
  points: LrPoint[]
  /** The rate where the smoothed loss falls fastest; null when it never fell. */
  suggestion: number | null
  /** true when the loss ran away before the largest rate was reached. */
  diverged: boolean
}

/** Weight of the past in the smoothed loss, as in fastai. */
const SMOOTHING = 0.9
/** The test ends once the smoothed loss is this many times its lowest. */
const RUNAWAY = 4
const CHUNK_MS = 200

/**
 * @throws ERR_SKNET_OPTION, ERR_SKNET_DATA, ERR_SKNET_OOM before the first step; AbortError when `signal` fires
 */
export async function findLearningRate(model: Model, train: Dataset, options: LrFindOptions = {}): Promise<LrFinding> {
  const { min = 1e-5, max = 10, steps = 100, signal = new AbortController().signal, recipe, ...rest } = options
  asModel(model)
  asDataset('train', train)
  number('min', min, { min: Number.MIN_VALUE })
  if (!(number('max', max) > min)) badOption('max', max, `a number above min, ${min}`)
  integer('steps', steps, { min: 2 })
  const chosen = recipe === undefined ? defaultRecipe(model.spec.input.size) : checkRecipe(recipe)
  const resolved = resolveOptions([checkOptions(chosen.options), checkOptions(rest)])
  checkData(model, resolved, train, null)
  const rates = Float64Array.from({ length: steps }, (_, i) => min * (max / min) ** (i / (steps - 1)))
  return finding(await runRates(model, train, resolved, rates, signal), steps)
}

async function runRates(model: Model, train: Dataset, options: TrainOptions, rates: Float64Array, signal: AbortSignal): Promise<LrPoint[]> {
  const size = trainingSize(options, train)
  const plan = await trainPlan(model, options, size, { imageBytes: trainingImageBytes(train, options, size) })
  const points: LrPoint[] = []
  let batches: Loader | null = null
  try {
    checkMemory([plan], options.batchSize)
    await writeTensors(plan, 'value', model.weights())
    for (let epoch = 0, diverged = false; !diverged && points.length < rates.length; epoch++) {
      batches = trainingBatches(train, options, threadCount(options.threads), epoch, 0)
      for (let left = Math.floor(train.size / options.batchSize); !diverged && left > 0 && points.length < rates.length;) {
        const loader = batches
        const lrs = rates.slice(points.length, points.length + left)
        const chunk = await cancellable(
          signal,
          () => plan.cancel(),
          () => awaitNative(() => plan.trainSteps(loader, lrs, CHUNK_MS)),
        )
        if (signal.aborted) throw abortError(signal, null)
        for (const loss of chunk.loss) points.push(next(points, rates[points.length]!, loss))
        left -= chunk.steps
        diverged = chunk.nonFinite !== null || ranAway(points)
      }
      batches.dispose()
      batches = null
    }
    return points
  } finally {
    batches?.dispose()
    plan.dispose()
  }
}

function next(points: readonly LrPoint[], lr: number, loss: number): LrPoint {
  const weight = (n: number): number => 1 - SMOOTHING ** n
  const n = points.length
  const past = n === 0 ? 0 : points[n - 1]!.smoothed * weight(n)
  return { lr, loss, smoothed: (SMOOTHING * past + (1 - SMOOTHING) * loss) / weight(n + 1) }
}

function ranAway(points: readonly LrPoint[]): boolean {
  const lowest = Math.min(...points.map(({ smoothed }) => smoothed))
  return points.length > 0 && points.at(-1)!.smoothed > RUNAWAY * lowest
}

function finding(points: LrPoint[], steps: number): LrFinding {
  return { points, suggestion: steepest(points), diverged: points.length < steps || ranAway(points) }
}

/** Of the points before the lowest, where the smoothed loss falls fastest over the logarithm of the rate, by central differences. */
function steepest(points: readonly LrPoint[]): number | null {
  const lowest = points.reduce((best, { smoothed }, i) => (smoothed < points[best]!.smoothed ? i : best), 0)
  let [at, slope] = [-1, 0]
  for (let i = 1; i < lowest; i++) {
    const fall = points[i + 1]!.smoothed - points[i - 1]!.smoothed
    if (fall < slope) [at, slope] = [i, fall]
  }
  return at < 0 ? null : points[at]!.lr
}
