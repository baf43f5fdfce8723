/** `sknet lr-find`: a learning-rate range test, and the rate it suggests. */
import { detectDataset } from '../data/detect.js'
import { canonicalName, createModel } from '../model/registry.js'
import { findLearningRate, type LrPoint } from '../train/lr-find.js'
import { checkRecipe } from '../train/recipes.js'
import { usageError, type Command } from './command.js'
import { wholeNumber } from './numbers.js'
import { required } from './shared-flags.js'
import { configuredTraining, trainingFlags } from './training-options.js'

const { epochs: _epochs, lr: _lr, ...flags } = trainingFlags

export const lrFindCommand: Command = {
  name: 'lr-find',
  about: 'Trains some steps with a growing learning rate and suggests the one at which the loss falls fastest. Nothing is kept.',
  flags: {
    data: { kind: 'text', value: 'PATH', about: 'data set to train on' },
    model: { kind: 'text', value: 'NAME', about: 'network, such as sknet50' },
    ...flags,
    min: { kind: 'number', value: 'X', about: 'first rate; default 1e-5' },
    max: { kind: 'number', value: 'X', about: 'last rate; default 10' },
    steps: { kind: 'number', value: 'N', about: 'steps from the one to the other; default 100' },
  },
  run: async (args, output) => {
    const path = required(args, 'lr-find', 'data', 'PATH', 'a data set')
    const name = canonicalName(required(args, 'lr-find', 'model', 'NAME', 'the name of a network'))
    const { options, recipe, modelOptions } = await configuredTraining(args)
    const { train } = await detectDataset(path)
    if (train === undefined) throw usageError(`${path} has validation images only`, 'data', { got: path, expected: 'images to train on' })
    const model = createModel(name, { ...modelOptions, classes: train.classes, seed: options.seed ?? 0 })
    try {
      const finding = await findLearningRate(model, train, {
        ...options,
        ...(recipe === null ? {} : { recipe: checkRecipe(recipe) }),
        ...(args.has('min') ? { min: args.number('min')! } : {}),
        ...(args.has('max') ? { max: args.number('max')! } : {}),
        ...(args.has('steps') ? { steps: wholeNumber(args, 'steps', 100, { min: 2, max: 1_000_000 }) } : {}),
      })
      for (const line of curve(finding.points)) output.say(line)
      output.say(
        finding.suggestion === null
          ? 'The loss never fell: nothing to suggest. Try more steps, or other rates.'
          : `suggested learning rate ${finding.suggestion.toPrecision(2)}`,
      )
      output.emit({ type: 'result', model: model.spec.arch, ...finding })
      return 0
    } finally {
      model.dispose()
    }
  },
}

const LINES = 25
const WIDTH = 40

/** Every few points as a bar as long as the smoothed loss is high. */
function curve(points: readonly LrPoint[]): string[] {
  const highest = Math.max(...points.map(({ smoothed }) => smoothed))
  const every = Math.max(1, Math.ceil(points.length / LINES))
  return points
    .filter((_, i) => i % every === 0)
    .map(({ lr, smoothed }) => {
      return `${lr.toExponential(1).padStart(9)}  ${smoothed.toFixed(3).padStart(8)}  ${'#'.repeat(Math.round((WIDTH * smoothed) / highest))}`
    })
}
