// The networks behind the golden files, as layers; timm's names.
import type { Layer } from '../../lib/model/spec.js'
import type { BlockCase, TrainCase } from '../support/golden.js'
import * as l from '../support/layers.js'

interface BottleneckOptions {
  prefix: string
  from: string
  inChannels: number
  planes: number
  stride: number
  groups: number
  baseWidth: number
}

/** timm's SelectiveKernelBottleneck with two branches and an attention of 32 channels (width / 16, at least 32). */
function skBottleneck(o: BottleneckOptions): { layers: Layer[]; output: string; channels: number } {
  const p = o.prefix
  const width = Math.floor((o.planes * o.baseWidth) / 64) * o.groups
  const out = o.planes * 4
  const layers: Layer[] = [
    l.conv2d(`${p}conv1.conv`, o.from, width),
    l.batchNorm(`${p}conv1.bn`, `${p}conv1.conv`),
    l.relu(`${p}conv1.act`, `${p}conv1.bn`),
    l.skUnit(`${p}conv2`, `${p}conv1.act`, width, l.dilatedBranches(2, o.groups), Math.max(32, width / 16), o.stride),
    l.conv2d(`${p}conv3.conv`, `${p}conv2`, out),
    l.batchNorm(`${p}conv3.bn`, `${p}conv3.conv`),
  ]
  let shortcut = o.from
  if (o.stride !== 1 || o.inChannels !== out) {
    layers.push(l.conv2d(`${p}downsample.0`, o.from, out, { stride: o.stride }), l.batchNorm(`${p}downsample.1`, `${p}downsample.0`))
    shortcut = `${p}downsample.1`
  }
  layers.push(l.add(`${p}add`, `${p}conv3.bn`, shortcut), l.relu(`${p}act`, `${p}add`))
  return { layers, output: `${p}act`, channels: out }
}

/** Layers of a block case. The file's tensor names carry no unit name; `prefix` is what ours put before them. */
export function blockLayers(c: BlockCase): { layers: Layer[]; prefix: string } {
  if (c.op === 'sk_unit') {
    const unit = l.skUnit('unit', 'input', c.outChannels!, l.dilatedBranches(c.branches!, c.groups), c.d!, c.stride)
    return { layers: [unit], prefix: 'unit.' }
  }
  const { inChannels, stride, groups } = c
  const block = skBottleneck({ prefix: '', from: 'input', inChannels, planes: c.planes!, stride, groups, baseWidth: c.baseWidth! })
  return { layers: block.layers, prefix: '' }
}

/** timm's ResNet of SelectiveKernelBottlenecks: stem 7x7 stride 2, max-pool, one stage per entry of `channels`, pool, fc. */
export function tinySknet(c: TrainCase): Layer[] {
  const layers: Layer[] = [
    l.conv2d('conv1', 'input', c.stem, { kernel: 7, stride: 2, padding: 3 }),
    l.batchNorm('bn1', 'conv1'),
    l.relu('act1', 'bn1'),
    l.maxPool('maxpool', 'act1', 3, 2, 1),
  ]
  let from = 'maxpool'
  let inChannels = c.stem
  c.channels.forEach((planes, stage) => {
    for (let i = 0; i < c.layers[stage]!; i++) {
      const stride = stage > 0 && i === 0 ? 2 : 1
      const prefix = `layer${stage + 1}.${i}.`
      const block = skBottleneck({ prefix, from, inChannels, planes, stride, groups: c.groups, baseWidth: c.baseWidth })
      layers.push(...block.layers)
      from = block.output
      inChannels = block.channels
    }
  })
  layers.push(l.globalAvgPool('global_pool', from), l.linear('fc', 'global_pool', c.classes))
  return layers
}
