/** `sknet import`: weights of another library become a model folder or a safetensors file of ours. */
import { readFile } from 'node:fs/promises'
import { hashFile } from '../checkpoint/files.js'
import { loadModel } from '../model/load.js'
import type { LoadOptions } from '../model/load.js'
import type { Model } from '../model/model.js'
import { usageError, type Args, type Command } from './command.js'
import { wholeNumber } from './numbers.js'
import { sayReport } from './output.js'
import { pathGiven, required, viewFlags, viewOptions } from './shared-flags.js'

export const importCommand: Command = {
  name: 'import',
  about:
    'Takes weights of timm, torchvision, pytorchcv (safetensors, .pth) or Caffe (.caffemodel) and saves them as a model folder or a safetensors file.',
  positionals: { usage: 'FILE', min: 1, max: 1 },
  flags: {
    arch: { kind: 'text', value: 'NAME', about: 'network, where the file does not say' },
    out: { kind: 'text', value: 'PATH', about: 'a model folder, or a path ending in .safetensors' },
    classes: { kind: 'number', value: 'K', about: "classes of the head; default: the stored head's" },
    'replace-head': { kind: 'switch', about: 'start a new head where the stored one has other classes' },
    loose: { kind: 'switch', about: 'load what fits; what is missing stays fresh' },
    labels: { kind: 'text', value: 'FILE', about: 'names of the classes, one a line' },
    ...viewFlags,
    seed: { kind: 'number', value: 'S', about: 'decides the fresh values; default 0' },
  },
  run: async (args, output) => {
    const file = args.positionals[0]!
    const out = required(args, 'import', 'out', 'PATH', 'a model folder or a .safetensors file')
    const model = await loadModel(file, loadOptions(args))
    try {
      const report = model.report!
      sayReport(report, output)
      if (args.has('labels')) model.classNames = await labelsOf(args.text('labels')!, model.spec.classes)
      model.preprocessing = { ...model.preprocessing, ...viewOptions(args) }
      model.info = { ...model.info, source: await sourceOf(model) }
      await model.save(out)
      output.say(`${model.spec.arch}, ${model.params} parameters, ${model.spec.classes} classes: ${out}`)
      const { loaded, ...rest } = report
      output.emit({ type: 'result', model: model.spec.arch, classes: model.spec.classes, out, loaded: loaded.length, ...rest })
      return 0
    } finally {
      model.dispose()
    }
  },
}

function loadOptions(args: Args): LoadOptions {
  return {
    ...(args.has('arch') ? { arch: args.text('arch')! } : {}),
    ...(args.has('classes') ? { classes: wholeNumber(args, 'classes', 1, { min: 1, max: 1 << 20 }) } : {}),
    ...(args.has('replace-head') ? { head: 'replace' } : {}),
    strict: !args.has('loose'),
    seed: wholeNumber(args, 'seed', 0, { min: 0, max: Number.MAX_SAFE_INTEGER }),
  }
}

/** Where the weights came from, for the card; a run's or a folder's path says enough. */
async function sourceOf({ report }: Model): Promise<string> {
  const { path, format, names } = report!
  const digest = await hashFile(path).catch(() => null)
  const hash = digest === null ? '' : `, SHA-256 ${digest.sha256}`
  return `${path.split('/').at(-1)} (${format}, names of ${names}${hash})`
}

async function labelsOf(path: string, classes: number): Promise<string[]> {
  const text = await pathGiven('labels', path, readFile(path, 'utf8'))
  const names = text.split(/\r?\n/).filter((line) => line.trim() !== '')
  if (names.length === classes) return names
  throw usageError(`${path} names ${names.length} classes, and the model has ${classes}`, 'labels', {
    got: names.length,
    expected: `${classes} lines`,
  })
}
