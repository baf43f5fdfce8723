/** `sknet demo`: a minute of training on the built-in data set, to see that everything works. */
import { join } from 'node:path'
import { synthetic } from '../data/synthetic.js'
import { createModel } from '../model/registry.js'
import { recipes } from '../train/recipes.js'
import { Trainer } from '../train/trainer.js'
import type { Command } from './command.js'
import { wholeNumber } from './numbers.js'
import { runTraining } from './run-training.js'
import { maxStepsOf } from './train.js'

const DEFAULT_RUN = join('runs', 'demo')

/** About a minute on two cores, and enough for the accuracy to rise from chance to above nine in ten. */
const TRAIN_IMAGES = 2000
const VAL_IMAGES = 500
const RECIPE = { epochs: 7, batchSize: 32, optimizer: { lr: 0.05 }, schedule: { warmupEpochs: 0.3 } }

export const demoCommand: Command = {
  name: 'demo',
  about: 'Trains sknet_tiny_cifar on a built-in synthetic set, about a minute on two cores.',
  flags: {
    'max-steps': { kind: 'number', value: 'N', about: 'stop, with a checkpoint, once the run has done N steps' },
    seed: { kind: 'number', value: 'S', about: 'decides weights, images and order; default 0' },
    threads: { kind: 'number', value: 'T', about: 'native threads; default: all' },
    run: { kind: 'text', value: 'DIR', about: `run folder, resumed where it holds this run; default: ${DEFAULT_RUN}, anew each time` },
    fresh: { kind: 'switch', about: 'remove the run in the folder and start anew' },
  },
  run: async (args, output) => {
    const seed = wholeNumber(args, 'seed', 0, { min: 0, max: 2 ** 52 - 1 })
    const threads = args.has('threads') ? { threads: wholeNumber(args, 'threads', 1, { min: 1, max: 4096 }) } : {}
    const maxSteps = maxStepsOf(args)
    const train = synthetic({ split: 'train', count: TRAIN_IMAGES, seed })
    const val = synthetic({ split: 'val', count: VAL_IMAGES, seed })
    const run = args.text('run') ?? DEFAULT_RUN
    const model = createModel('sknet_tiny_cifar', { classes: train.classes, seed })
    const recipe = recipes.cifar(RECIPE)
    const trainer = new Trainer(model, { recipe, run, seed, fresh: args.has('fresh') || !args.has('run'), ...threads })
    const { code, end } = await runTraining(trainer, { train, val, ...maxSteps }, output)
    if (code === 0 && end !== null) {
      output.say('')
      output.say('What next:')
      output.say(`  sknet verify ${run}`)
      output.say(
        '  sknet train --data PATH --model sknet_tiny_cifar --recipe cifar --run runs/first    (PATH: CIFAR binaries, a folder of images or tar shards)',
      )
      output.say('  sknet train --help')
    }
    return code
  },
}
