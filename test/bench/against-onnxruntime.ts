/**
 * Inference of SKNet-50 by our `bench` and by ONNX Runtime for Node, in turns, batch 1 and 16.
 *
 *   npm install --no-save --ignore-scripts --prefix ORT onnxruntime-node
 *   npm run build && npx tsx test/bench/against-onnxruntime.ts --python VENV/bin/python --modules ORT [--models FOLDER] [--turns 3] [--threads 2] [--only NAME] [--out FILE]
 *
 * Python (torch, timm, onnx, onnxscript) only writes the ONNX files, timm's skresnext50_32x4d, where --models has none yet.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lastJson, measured, ours, output, peer } from './contenders.js'
import { raceArguments, runRaces, type Contender } from './race.js'

const args = raceArguments({ modules: '.', models: join(tmpdir(), 'sknet-bench-onnx'), steps: '' })

function onnxRuntime(batch: number, steps: string): Contender {
  const file = join(args.models, `skresnext50_32x4d-b${batch}.onnx`)
  const shape = ['--batch', `${batch}`, '--steps', steps, '--warmup', '3']
  return {
    name: 'ONNX Runtime for Node',
    run: () => {
      if (!existsSync(file)) output(args.python, [peer('export_onnx.py'), '--batch', `${batch}`, '--out', file])
      const argv = [peer('onnx_infer.js'), file, ...shape, '--threads', `${args.threads}`, '--modules', args.modules]
      const told = lastJson(output(process.execPath, argv))
      return { ...measured(told), onnxruntime: told.onnxruntime }
    },
  }
}

mkdirSync(args.models, { recursive: true })
const races = [
  { batch: 1, steps: args.steps || '30' },
  { batch: 16, steps: args.steps || '8' },
].map(({ batch, steps }) => ({
  name: `sknet50 infer b${batch}`,
  ours: ours('sknet', ['--model', 'sknet50', '--mode', 'infer', '--batch', `${batch}`, '--steps', steps, '--warmup', '3'], args),
  peers: [onnxRuntime(batch, steps)],
}))

runRaces(races, args)
