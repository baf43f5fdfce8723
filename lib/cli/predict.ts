/** `sknet predict`: the likeliest classes of pictures. */
import { loadModel } from '../model/load.js'
import { topClasses } from '../model/predict.js'
import type { Command } from './command.js'
import { wholeNumber } from './numbers.js'
import { warnSkipped } from './output.js'
import { percent } from './progress.js'
import { machineFlags, required, viewFlags, viewOptions } from './shared-flags.js'

export const predictCommand: Command = {
  name: 'predict',
  about: 'Classifies pictures.',
  positionals: { usage: 'IMAGES...', min: 1, max: Infinity },
  flags: {
    weights: { kind: 'text', value: 'W', about: 'a run, checkpoint or model folder, or a weights file (safetensors, .pth, .caffemodel)' },
    arch: { kind: 'text', value: 'NAME', about: 'network, where the weights do not say' },
    topk: { kind: 'number', value: 'K', about: 'classes listed; default 5' },
    ...viewFlags,
    ...machineFlags,
    logits: { kind: 'switch', about: 'the raw output as well' },
  },
  run: async (args, output) => {
    const weights = required(args, 'predict', 'weights', 'W', 'a run, folder or weights file')
    const model = await loadModel(weights, args.has('arch') ? { arch: args.text('arch')! } : {})
    warnSkipped(model, output)
    try {
      const { classes } = model.spec
      const topk = wholeNumber(args, 'topk', Math.min(5, classes), { min: 1, max: classes })
      const answers = await model.pictureLogits(args.positionals, viewOptions(args))
      const predictions = answers.map(({ path, logits }) => {
        const top = topClasses(logits, topk, (index) => model.label(index))
        return { path, top, ...(args.has('logits') ? { logits: Array.from(logits) } : {}) }
      })
      for (const { path, top } of predictions) {
        output.say(output.bold(path ?? ''))
        for (const { label, score } of top) output.say(`  ${percent(score).padStart(9)}  ${label}`)
      }
      output.emit({ type: 'result', model: model.spec.arch, predictions })
      return 0
    } finally {
      model.dispose()
    }
  },
}
