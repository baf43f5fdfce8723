/** `sknet train`: a run from the command line; the same line again resumes it. */
import type { Dataset } from '../data/dataset.js'
import { detectDataset } from '../data/detect.js'
import { loadModel } from '../model/load.js'
import type { Model } from '../model/model.js'
import { canonicalName, createModel, type CreateOptions } from '../model/registry.js'
import { totalSteps } from '../optim/schedule.js'
import { checkData, scheduleOf } from '../train/open.js'
import { checkRecipe } from '../train/recipes.js'
import { Trainer } from '../train/trainer.js'
import { trainingSize, trainingView } from '../train/views.js'
import { usageError, type Args, type Command } from './command.js'
import { wholeNumber } from './numbers.js'
import { warnSkipped, type Output } from './output.js'
import { mebibytes } from './progress.js'
import { runTraining } from './run-training.js'
import { configuredTraining, trainingFlags } from './training-options.js'

export const trainCommand: Command = {
  name: 'train',
  about: 'Trains a network. The same line again goes on from the newest valid checkpoint of its run folder.',
  flags: {
    data: { kind: 'text', value: 'PATH', about: 'CIFAR binaries, a folder of images or tar shards' },
    model: { kind: 'text', value: 'NAME', about: 'network, such as sknet50' },
    ...trainingFlags,
    run: { kind: 'text', value: 'DIR', about: 'run folder: checkpoints, results, events' },
    init: { kind: 'text', value: 'W', about: 'start from these weights instead of random ones' },
    'replace-head': { kind: 'switch', about: 'with --init: start a new head where the stored one has other classes' },
    config: { kind: 'text', value: 'F.json', about: 'options from a file, such as config.json of another run' },
    'max-steps': { kind: 'number', value: 'N', about: 'stop, with a checkpoint, once the run has done N steps' },
    fresh: { kind: 'switch', about: 'remove the run in the folder and start anew' },
    'dry-run': { kind: 'switch', about: 'print the options, the memory and the steps; train nothing' },
  },
  run: async (args, output) => {
    const setup = await configuredTraining(args)
    const path = needed(setup.dataset, 'data', 'CIFAR binaries, a folder of images or tar shards')
    const name = canonicalName(needed(setup.model, 'model', 'the name of a network'))
    const maxSteps = maxStepsOf(args)
    const recipe = setup.recipe === null ? {} : { recipe: checkRecipe(setup.recipe) }
    const run = setup.run === null ? {} : { run: setup.run }

    const { train, val } = await detectDataset(path)
    if (train === undefined) throw usageError(`${path} has validation images only`, 'data', { got: path, expected: 'images to train on' })
    const seed = setup.options.seed ?? 0
    if (args.has('replace-head') && setup.init === null) throw usageError('--replace-head needs --init W', 'replace-head')
    const head = args.has('replace-head') ? 'replace' : 'keep'
    const model = await openModel(name, { ...setup.modelOptions, classes: train.classes, seed }, setup.init, train, head)
    warnSkipped(model, output)
    try {
      const trainer = new Trainer(model, { ...setup.options, ...recipe, ...run, fresh: args.has('fresh') })
      if (args.has('dry-run')) return dryRun(trainer, train, val, output)
      if (setup.run === null) output.warn('warning: without --run nothing of this training is kept')
      const { code } = await runTraining(trainer, { train, ...(val === undefined ? {} : { val }), ...maxSteps }, output)
      return code
    } finally {
      model.dispose()
    }
  },
}

/** `--max-steps` as fit takes it. */
export function maxStepsOf(args: Args): { maxSteps?: number } {
  return args.has('max-steps') ? { maxSteps: wholeNumber(args, 'max-steps', 1, { min: 1, max: Number.MAX_SAFE_INTEGER }) } : {}
}

function needed(value: string | null, flag: string, expected: string): string {
  if (value === null) throw usageError(`sknet train needs --${flag}: ${expected}`, flag, { expected })
  return value
}

/** Fresh weights, or those of `init`. A head for other classes is an error unless it is to be replaced. */
async function openModel(
  name: string,
  options: CreateOptions & { classes: number; seed: number },
  init: string | null,
  { classNames }: Dataset,
  head: 'keep' | 'replace',
): Promise<Model> {
  const { classes, seed, ...own } = options
  const changed = Object.keys(own).length > 0 ? { options: own } : {}
  const model = init === null ? createModel(name, options) : await loadModel(init, { arch: name, classes, head, seed, ...changed })
  model.classNames = [...classNames]
  return model
}

function dryRun(trainer: Trainer, train: Dataset, val: Dataset | undefined, output: Output): number {
  const { options, recipe, model } = trainer
  checkData(model, options, train, val ?? null)
  trainingView(train, options)
  const schedule = scheduleOf(options, train)
  const memory = trainer.memoryReport({ size: trainingSize(options, train) })
  const steps = { stepsPerEpoch: schedule.stepsPerEpoch, totalSteps: totalSteps(schedule) }
  output.say(`${model.spec.arch}, ${model.params} parameters, ${model.spec.classes} classes, recipe ${recipe}`)
  output.say(
    `${train.size} training and ${val?.size ?? 0} validation images: ${schedule.epochs} epochs of ${steps.stepsPerEpoch} steps, ${steps.totalSteps} in all`,
  )
  for (const [part, bytes] of Object.entries<number>({ ...memory })) output.say(`memory ${part.padEnd(12)}${mebibytes(bytes).padStart(12)}`)
  output.say(JSON.stringify(options, null, 2))
  output.emit({
    type: 'result',
    dryRun: true,
    model: model.spec.arch,
    params: model.params,
    classes: model.spec.classes,
    recipe,
    options,
    memory,
    ...steps,
  })
  return 0
}
