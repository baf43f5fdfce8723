/** `sknet export`: a model as a safetensors file, under names of another library, as a model folder, or as ONNX. */
import { badOption, oneOf } from '../check.js'
import { loadModel } from '../model/load.js'
import type { Model } from '../model/model.js'
import type { OnnxOptions } from '../model/onnx/export.js'
import { usageError, type Args, type Command } from './command.js'
import { wholeNumber } from './numbers.js'
import { warnSkipped, type Output } from './output.js'
import { required } from './shared-flags.js'

const formats = ['safetensors', 'folder', 'onnx'] as const
const onnxFlags = ['opset', 'batch', 'size', 'keep-bn'] as const

export const exportCommand: Command = {
  name: 'export',
  about: 'Writes a model as a safetensors file (own names, or those of torchvision or pytorchcv), a model folder, or an ONNX file.',
  flags: {
    weights: { kind: 'text', value: 'W', about: 'a run, checkpoint or model folder, or a weights file (safetensors, .pth, .caffemodel)' },
    arch: { kind: 'text', value: 'NAME', about: 'network, where the weights do not say' },
    out: { kind: 'text', value: 'PATH', about: 'what to write' },
    format: {
      kind: 'text',
      value: 'F',
      about: "safetensors, folder or onnx; default: by the ending of --out ('.safetensors', '.onnx', else folder)",
    },
    names: { kind: 'text', value: 'L', about: 'safetensors: names of timm (default, our own), torchvision or pytorchcv' },
    opset: { kind: 'number', value: 'N', about: 'ONNX: version of the operators, 17 to 23; default 17' },
    batch: { kind: 'text', value: 'N', about: 'ONNX: images of one run, or dynamic (default)' },
    size: { kind: 'text', value: 'S', about: "ONNX: side of the input, HxW, or dynamic; default: the network's own" },
    'keep-bn': { kind: 'switch', about: 'ONNX: keep batch norm as it is; default: folded into convolutions' },
  },
  run: async (args, output) => {
    const weights = required(args, 'export', 'weights', 'W', 'a run, folder or weights file')
    const out = required(args, 'export', 'out', 'PATH', 'the file or folder to write')
    const format = args.has('format') ? oneOf('format', args.text('format'), formats) : formatOf(out)
    checkFlags(args, format)
    const options = onnxOptions(args)
    const model = await loadModel(weights, args.has('arch') ? { arch: args.text('arch')! } : {})
    try {
      warnSkipped(model, output)
      const details = format === 'onnx' ? await model.exportOnnx(out, options) : await save(model, out, format, args)
      return tell(model, format, out, details, output)
    } finally {
      model.dispose()
    }
  },
}

function formatOf(out: string): (typeof formats)[number] {
  return out.endsWith('.onnx') ? 'onnx' : out.endsWith('.safetensors') ? 'safetensors' : 'folder'
}

/** A flag of another format would have no effect, which is worse than an error. */
function checkFlags(args: Args, format: (typeof formats)[number]): void {
  const others = format === 'onnx' ? ['names'] : format === 'safetensors' ? onnxFlags : ['names', ...onnxFlags]
  const flag = others.find((name) => args.has(name))
  if (flag !== undefined) throw usageError(`--${flag} means nothing for the format ${format}`, flag, { expected: 'another --format' })
}

async function save(model: Model, out: string, format: (typeof formats)[number], args: Args): Promise<object> {
  if ((format === 'safetensors') !== out.endsWith('.safetensors')) {
    badOption('out', out, format === 'safetensors' ? 'a path ending in .safetensors' : 'a folder')
  }
  const names = args.has('names') ? oneOf('names', args.text('names'), ['timm', 'torchvision', 'pytorchcv']) : 'timm'
  await model.save(out, { names })
  return { path: out, names }
}

function tell(model: Model, format: string, out: string, details: object, output: Output): number {
  output.say(`${model.spec.arch}, ${model.params} parameters, as ${format}: ${out}`)
  output.emit({ type: 'result', model: model.spec.arch, classes: model.spec.classes, format, ...details })
  return 0
}

function onnxOptions(args: Args): OnnxOptions {
  const batch = args.text('batch')
  const size = args.text('size')
  return {
    ...(args.has('opset') ? { opset: wholeNumber(args, 'opset', 17, { min: 17, max: 23 }) } : {}),
    ...(batch === undefined ? {} : { batch: batch === 'dynamic' ? batch : Number(batch) }),
    ...(size === undefined ? {} : { size: sizeOf(size) }),
    foldBatchNorm: !args.has('keep-bn'),
  }
}

/** 224, 192x256 or dynamic. */
function sizeOf(text: string): NonNullable<OnnxOptions['size']> {
  if (text === 'dynamic') return text
  const [, height, width] = /^(\d{1,5})(?:x(\d{1,5}))?$/.exec(text) ?? badOption('size', text, 'pixels, such as 224 or 192x256, or dynamic')
  return { height: Number(height), width: Number(width ?? height) }
}
