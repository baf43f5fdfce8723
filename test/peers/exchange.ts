/**
 * Weights to and from PyTorch, whole networks: timm and torchvision make them with random weights as .safetensors and .pth, our logits are
 * compared with theirs, what we save goes back into PyTorch, and, where ONNX Runtime for Node is installed, so is what we export.
 *
 *   npx tsx test/peers/exchange.ts --python VENV/bin/python [--onnxruntime FOLDER] [--only NAME] [--out FILE]
 *
 * Python needs torch, torchvision, timm and safetensors.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readSafetensors } from '../../lib/checkpoint/safetensors.js'
import { loadModel } from '../../lib/model/load.js'
import type { Model } from '../../lib/model/model.js'
import { relativeError } from '../support/compare.js'
import { onnxRuntime } from '../support/onnxruntime.js'

/** Ours against PyTorch's float32, by norm. */
const LIMIT = 1e-5

/** Their name -> ours. */
const networks: Record<string, string> = {
  skresnext50_32x4d: 'sknet50',
  skresnet18: 'skresnet18',
  skresnet34: 'skresnet34',
  skresnet50: 'skresnet50',
  resnext50_32x4d: 'resnext50_32x4d',
  seresnext50_32x4d: 'seresnext50_32x4d',
  tv_resnext50_32x4d: 'resnext50_32x4d',
  tv_shufflenet_v2_x0_5: 'shufflenetv2_x0_5',
}

const { values: args } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    onnxruntime: { type: 'string' },
    only: { type: 'string' },
    out: { type: 'string' },
  },
})
if (args.onnxruntime !== undefined) process.env.SKNET_ONNXRUNTIME = args.onnxruntime

const script = fileURLToPath(new URL('exchange.py', import.meta.url))
const runtime = onnxRuntime()

function python(...argv: string[]): Record<string, unknown> {
  const out = execFileSync(args.python, [script, ...argv], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  return JSON.parse(out.trim().split('\n').at(-1)!) as Record<string, unknown>
}

interface Answer {
  size: string
  n: number
  height: number
  width: number
  nchw: Float32Array
  nhwc: Float32Array
  fp32: Float32Array
  fp64: Float64Array
}

async function answersOf(folder: string): Promise<Answer[]> {
  const tensors = await readSafetensors(join(folder, 'answers.safetensors'))
  return [0, 1].map((i) => {
    const [n, c, height, width] = tensors.get(`x${i}`)!.shape as [number, number, number, number]
    const nchw = tensors.get(`x${i}`)!.data as Float32Array
    const plane = height * width
    const nhwc = nchw.map((_, k) => nchw[(Math.floor(k / (c * plane)) * c + (k % c)) * plane + (Math.floor(k / c) % plane)]!)
    const [fp32, fp64] = [tensors.get(`y${i}`)!.data as Float32Array, tensors.get(`z${i}`)!.data as Float64Array]
    return { size: `${height}x${width}`, n, height, width, nchw, nhwc, fp32, fp64 }
  })
}

async function onnxErrors(model: Model, folder: string, answers: Answer[]): Promise<Record<string, number>> {
  const errors: Record<string, number> = {}
  const file = join(folder, 'model.onnx')
  await model.exportOnnx(file, { size: 'dynamic' })
  const session = await runtime!.InferenceSession.create(file)
  for (const { size, n, height, width, nchw, nhwc } of answers) {
    const ours = (await model.forward(nhwc, { shape: [n, height, width, 3] })).logits
    const { logits } = await session.run({ input: new runtime!.Tensor('float32', nchw, [n, 3, height, width]) })
    errors[size] = relativeError(logits!.data, ours)
  }
  return errors
}

async function compare(theirs: string, arch: string): Promise<Record<string, unknown>> {
  const folder = mkdtempSync(join(tmpdir(), 'sknet-exchange-'))
  try {
    const made = python('make', theirs, folder)
    const answers = await answersOf(folder)
    const row: Record<string, unknown> = { network: theirs, arch, ...made }
    let ok = true
    for (const file of ['weights.safetensors', 'weights.pth']) {
      const model = await loadModel(join(folder, file), { arch })
      const { missing, unexpected, names, format } = model.report!
      const errors: Record<string, unknown> = { format, names, missing: missing.length, unexpected: unexpected.length }
      for (const { size, n, height, width, nhwc, fp32, fp64 } of answers) {
        const { logits } = await model.forward(nhwc, { shape: [n, height, width, 3] })
        const error = {
          toFloat32: relativeError(logits, fp32),
          toFloat64: relativeError(logits, fp64),
          theirsToFloat64: relativeError(fp32, fp64),
        }
        errors[size] = error
        ok &&= error.toFloat32 <= LIMIT
      }
      const back = join(folder, 'back.safetensors')
      await model.save(back, { names: theirs.startsWith('tv_') ? 'torchvision' : 'timm' })
      const checked = python('check', theirs, folder, back)
      errors.back = { missing: checked.missing, unexpected: checked.unexpected, sameLogits: checked.sameLogits }
      ok &&= checked.sameLogits === true && model.params === made.params
      if (file === 'weights.pth' && runtime !== null) {
        const onnx = await onnxErrors(model, folder, answers)
        errors.onnxRuntime = onnx
        ok &&= Object.values(onnx).every((error) => error <= LIMIT)
      }
      row[file] = errors
      model.dispose()
    }
    return { ...row, ok }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const rows: Record<string, unknown>[] = []
for (const [theirs, arch] of Object.entries(networks)) {
  if (args.only !== undefined && args.only !== theirs) continue
  const row = await compare(theirs, arch)
  rows.push(row)
  process.stdout.write(`${JSON.stringify(row)}\n`)
}
const git = (...argv: string[]) => execFileSync('git', argv, { encoding: 'utf8' }).trim()
const report = { commit: git('rev-parse', 'HEAD'), date: new Date().toISOString().slice(0, 10), cpu: cpus()[0]!.model, limit: LIMIT, rows }
if (args.out !== undefined) writeFileSync(args.out, `${JSON.stringify(report, null, 2)}\n`)
if (!rows.every(({ ok }) => ok)) process.exitCode = 1
