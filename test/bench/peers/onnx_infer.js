/**
 * Inference of an ONNX file by ONNX Runtime for Node, timed; prints one JSON line with the names that the scripts for Python use.
 *
 *   node onnx_infer.js FILE --batch N --size S --threads T --steps N --warmup N --modules FOLDER
 *
 * --modules: a folder whose node_modules has onnxruntime-node.
 */
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'

const text = (value) => ({ type: 'string', default: value })
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { batch: text('1'), size: text('224'), threads: text('2'), steps: text('10'), warmup: text('3'), modules: text('.') },
})
const [batch, size, threads, steps, warmup] = ['batch', 'size', 'threads', 'steps', 'warmup'].map((name) => Number(values[name]))
const require = createRequire(resolve(values.modules, 'package.json'))
const { InferenceSession, Tensor } = require('onnxruntime-node')
const session = await InferenceSession.create(positionals[0], {
  executionProviders: ['cpu'],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
})
const data = Float32Array.from({ length: batch * 3 * size * size }, (_, i) => Math.sin(i))
const feeds = { [session.inputNames[0]]: new Tensor('float32', data, [batch, 3, size, size]) }
const seconds = []
for (let i = 0; i < warmup + steps; i++) {
  const began = performance.now()
  await session.run(feeds)
  if (i >= warmup) seconds.push((performance.now() - began) / 1000)
}
seconds.sort((a, b) => a - b)
const median = (seconds[(steps - 1) >> 1] + seconds[steps >> 1]) / 2
const onnxruntime = require('onnxruntime-node/package.json').version
const told = { seconds_median: median, images_per_s: batch / median, peak_rss_mib: process.resourceUsage().maxRSS / 1024, onnxruntime }
process.stdout.write(`${JSON.stringify(told)}\n`)
