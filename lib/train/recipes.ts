/**
 * Training recipes as data, each with its source. `recipes.large({ epochs: 10 })` is the recipe with something changed.
 */
import { badOption, didYouMean, isObject } from '../check.js'
import { checkOptions, nest, type OptionValues } from './options.js'
import type { PartialTrainOptions } from './option-types.js'

export interface Recipe {
  name: string
  /** Where the numbers come from. */
  source: string
  options: PartialTrainOptions
}

export type RecipeName = 'large' | 'light' | 'imagenet-fast' | 'cifar' | 'cifar-paper'

export const recipes = {
  /** ImageNet, SKNet and its peers: 100 epochs, batch 256 as 8 shards of 32, rate 0.1 divided by ten at epochs 30, 60 and 90. */
  large: (overrides?: PartialTrainOptions): Recipe =>
    recipe('large', 'SKNet paper, section 4.1; label smoothing 0.1 as in syt2/SKNet; batch statistics per GPU of 32 images', overrides, {
      epochs: 100,
      batchSize: 256,
      shardSize: 32,
      optimizer: { lr: 0.1, momentum: 0.9, weightDecay: 1e-4 },
      schedule: { name: 'step', steps: [30, 60, 90], warmupEpochs: 0 },
      loss: { labelSmoothing: 0.1 },
      data: { augment: 'paper' },
    }),

  /** ShuffleNetV2 and other small models: 300 epochs, batch 1024 as 8 shards of 128, cosine after five epochs of warm-up. */
  light: (overrides?: PartialTrainOptions): Recipe =>
    recipe('light', 'implus/PytorchInsight, imagenet_mobile.py with --cos --wd 4e-5 --nowd-bn: 0.1 * 1024 / 256', overrides, {
      epochs: 300,
      batchSize: 1024,
      shardSize: 128,
      optimizer: { lr: 0.4, momentum: 0.9, weightDecay: 4e-5 },
      schedule: { name: 'cosine', warmupEpochs: 5 },
      loss: { labelSmoothing: 0.1 },
      data: { augment: 'light' },
    }),

  /** ImageNet in a fraction of the time: 40 epochs, cosine, averaged weights, images growing from 128 to 192 pixels and judged at 224. */
  imagenetFast: (overrides?: PartialTrainOptions): Recipe =>
    recipe(
      'imagenet-fast',
      "the project's own, after FFCV's rn50 recipes (rate 0.5 * batch / 256, progressive resolution, smoothing 0.1)",
      overrides,
      {
        epochs: 40,
        batchSize: 1024,
        shardSize: 128,
        optimizer: { lr: 2, momentum: 0.9, weightDecay: 5e-5, nesterov: true },
        schedule: { name: 'cosine', warmupEpochs: 5 },
        loss: { labelSmoothing: 0.1 },
        ema: { decay: 0.9995 },
        data: { augment: 'light', size: 192, startSize: 128, rampEpochs: [14, 34] },
        eval: { resize: 256, crop: 224 },
      },
    ),

  /** A short CIFAR run: 12 epochs, cosine to 0 after one epoch of warm-up. */
  cifar: (overrides?: PartialTrainOptions): Recipe =>
    recipe('cifar', "the project's own short form of the ResNeXt CIFAR recipe", overrides, {
      epochs: 12,
      batchSize: 128,
      optimizer: { lr: 0.1, momentum: 0.9, weightDecay: 5e-4 },
      schedule: { name: 'cosine', warmupEpochs: 1 },
      data: { augment: 'cifar' },
    }),

  /** The CIFAR set-up that the paper follows: 300 epochs, rate 0.1 divided by ten at epochs 150 and 225. */
  cifarPaper: (overrides?: PartialTrainOptions): Recipe =>
    recipe('cifar-paper', 'ResNeXt paper, section 5.3, as followed by the SKNet paper', overrides, {
      epochs: 300,
      batchSize: 128,
      optimizer: { lr: 0.1, momentum: 0.9, weightDecay: 5e-4 },
      schedule: { name: 'step', steps: [150, 225], warmupEpochs: 0 },
      data: { augment: 'cifar' },
    }),
}

/** Name on the command line -> recipe. */
export const recipesByName: Record<RecipeName, (overrides?: PartialTrainOptions) => Recipe> = {
  large: recipes.large,
  light: recipes.light,
  'imagenet-fast': recipes.imagenetFast,
  cifar: recipes.cifar,
  'cifar-paper': recipes.cifarPaper,
}

/** The recipe meant when none is named: CIFAR's for nets made for small images, else `large`. */
export function defaultRecipe(inputSize: number): Recipe {
  return inputSize < 64 ? recipes.cifar() : recipes.large()
}

/** A recipe by name, or one as made by `recipes`. */
export function checkRecipe(recipe: unknown): Recipe {
  if (typeof recipe === 'string') {
    if (Object.hasOwn(recipesByName, recipe)) return recipesByName[recipe as RecipeName]()
    const names = Object.keys(recipesByName)
    return badOption('recipe', recipe, `one of ${names.join(', ')}`, didYouMean(recipe, names))
  }
  if (!isObject(recipe) || typeof recipe.name !== 'string' || !isObject(recipe.options)) {
    return badOption('recipe', recipe, 'a recipe such as recipes.large(), or its name')
  }
  return recipe as unknown as Recipe
}

function recipe(name: RecipeName, source: string, overrides: PartialTrainOptions | undefined, options: PartialTrainOptions): Recipe {
  const own = checkOptions(options)
  const changes = checkOptions(overrides ?? {})
  // The recipe's shard belongs to its batch; in a smaller batch it is not a choice of the caller's.
  if (changes.has('batchSize') && (changes.get('batchSize') as number) < (own.get('shardSize') as number)) own.delete('shardSize')
  const values: OptionValues = new Map([...own, ...changes])
  return { name, source, options: nest(values) }
}
