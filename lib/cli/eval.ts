/** `sknet eval`: accuracy and loss of weights on a data set. */
import type { Dataset } from '../data/dataset.js'
import { detectDataset, type DetectedDataset } from '../data/detect.js'
import { classId } from '../data/imagenet.js'
import { loadModel } from '../model/load.js'
import type { Model } from '../model/model.js'
import { evaluate, type EvaluateOptions } from '../train/evaluate.js'
import type { Command } from './command.js'
import { wholeNumber } from './numbers.js'
import { warnSkipped, type Output } from './output.js'
import { percent, shortDuration } from './progress.js'
import { machineFlags, required, viewFlags, viewOptions } from './shared-flags.js'

export const evalCommand: Command = {
  name: 'eval',
  about: 'Prints top-1, top-5 and loss of weights on the validation images of a data set.',
  flags: {
    weights: { kind: 'text', value: 'W', about: 'a run, checkpoint or model folder, or a weights file (safetensors, .pth, .caffemodel)' },
    arch: { kind: 'text', value: 'NAME', about: 'network, where the weights do not say' },
    data: { kind: 'text', value: 'PATH', about: 'CIFAR binaries, a folder of images or tar shards' },
    ...viewFlags,
    batch: { kind: 'number', value: 'N', about: 'images at a time; default 64' },
    ...machineFlags,
  },
  run: async (args, output) => {
    const weights = required(args, 'eval', 'weights', 'W', 'a run, folder or weights file')
    const data = required(args, 'eval', 'data', 'PATH', 'CIFAR binaries, a folder of images or tar shards')
    const options: EvaluateOptions = {
      ...viewOptions(args),
      ...(args.has('batch') ? { batchSize: wholeNumber(args, 'batch', 64, { min: 1, max: 65536 }) } : {}),
    }
    const opened = await detectDataset(data, {}, ['val'])
    const model = await loadModel(weights, args.has('arch') ? { arch: args.text('arch')! } : {})
    const val = await namedAlike(opened, model, data, output)
    warnSkipped(model, output)
    const { bad, ...result } = await evaluate(model, val, options)
    for (const { path, reason } of bad) output.warn(`warning: ${path}: ${reason}`)
    output.say(`${model.spec.arch}: top-1 ${percent(result.top1)}, top-5 ${percent(result.top5)}, loss ${result.loss.toFixed(4)}`)
    output.say(
      `${result.images} ${result.images === 1 ? 'image' : 'images'} in ${shortDuration(result.seconds)}, ${bad.length} could not be read`,
    )
    output.emit({ type: 'result', model: model.spec.arch, ...result, bad })
    return 0
  },
}

/**
 * The images with the model's class numbers. A folder may hold some of the model's classes only, which its own count would number anew;
 * where it shares no name with the model, that count is all there is.
 */
async function namedAlike({ kind, val }: DetectedDataset, { classNames }: Model, path: string, output: Output): Promise<Dataset> {
  const own = val!.classNames
  if (kind !== 'image-folder' || classNames === undefined || own.map(classId).join('\n') === classNames.map(classId).join('\n')) return val!
  const known = classNames.map(classId)
  if (own.some((name) => known.includes(classId(name)))) return (await detectDataset(path, { classNames }, ['val'])).val!
  output.warn(`warning: ${path} shares no class name with the model; its folders in order count as the model's classes`)
  return val!
}
