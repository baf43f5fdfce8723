/** `sknet predict`: the likeliest classes of pictures. */
import { loadModel } from '../model/load.js'
import { topClasses } from '../model/predict.js'
import type { Command } from './command.js'
import { usageError } from './command.js'
import { choice, wholeNumber } from './numbers.js'
import { warnSkipped } from './output.js'
import { percent } from './progress.js'

export const predictCommand: Command = {
  name: 'predict',
  about: 'Classifies pictures.',
  positionals: { usage: 'IMAGES...', min: 1, max: Infinity },
  flags: {
    weights: { kind: 'text', value: 'W', about: 'a run, checkpoint or model folder, or a safetensors file' },
    arch: { kind: 'text', value: 'NAME', about: 'network, where the weights do not say' },
    topk: { kind: 'number', value: 'K', about: 'classes listed; default 5' },
    resize: { kind: 'number', value: 'N', about: "shorter side before the crop; default: the model's" },
    crop: { kind: 'number', value: 'N', about: "side of the centre crop; default: the model's" },
    interpolation: { kind: 'text', value: 'F', about: 'bilinear or bicubic' },
    device: { kind: 'text', value: 'D', about: 'auto or cpu' },
    threads: { kind: 'number', value: 'T', about: 'native threads; default: all' },
    logits: { kind: 'switch', about: 'the raw output as well' },
  },
  run: async (args, output) => {
    const weights = args.text('weights')
    if (weights === undefined)
      throw usageError('sknet predict needs --weights W', 'weights', { expected: 'a run, folder or safetensors file' })
    const model = await loadModel(weights, args.has('arch') ? { arch: args.text('arch')! } : {})
    warnSkipped(model, output)
    try {
      const { classes } = model.spec
      const topk = wholeNumber(args, 'topk', Math.min(5, classes), { min: 1, max: classes })
      const view = {
        ...(args.has('resize') ? { resize: wholeNumber(args, 'resize', 0, { min: 0, max: 16384 }) } : {}),
        ...(args.has('crop') ? { crop: wholeNumber(args, 'crop', 1, { min: 1, max: 16384 }) } : {}),
        ...(args.has('interpolation') ? { interpolation: choice(args, 'interpolation', ['bilinear', 'bicubic']) } : {}),
        ...(args.has('device') ? { device: args.text('device')! } : {}),
        ...(args.has('threads') ? { threads: wholeNumber(args, 'threads', 1, { min: 1, max: 4096 }) } : {}),
      }
      const answers = await model.pictureLogits(args.positionals, view)
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
