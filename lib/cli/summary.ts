/** `sknet summary`: layers, parameters and multiply-accumulates of a network. */
import { createModel } from '../model/registry.js'
import { usageError, type Command } from './command.js'
import { modelSetFlag, onlyModelOptions } from './model-options.js'

export const summaryCommand: Command = {
  name: 'summary',
  about: 'Prints the layers of a network with their shapes, parameters and MACs (convolutions and linear layers).',
  positionals: { usage: 'NAME', min: 1, max: 1 },
  flags: {
    size: { kind: 'number', value: 'N', about: "side of the input in pixels; default: the network's own" },
    classes: { kind: 'number', value: 'K', about: "classes; default: the network's own" },
    set: modelSetFlag,
  },
  run: (args, output) => {
    const classes = args.number('classes')
    const size = args.number('size')
    if (classes !== undefined && !(Number.isSafeInteger(classes) && classes > 0)) {
      throw usageError(`--classes is ${classes}; expected a whole number of at least 1`, 'classes', {
        got: classes,
        expected: 'a whole number of at least 1',
      })
    }
    const model = createModel(args.positionals[0]!, {
      ...onlyModelOptions(args.list('set')),
      ...(classes === undefined ? {} : { classes }),
    })
    const summary = model.summary(size === undefined ? {} : { size })
    output.say(summary.toString())
    output.emit({ type: 'result', ...summary, model: model.spec.arch, classes: model.spec.classes })
    return Promise.resolve(0)
  },
}
