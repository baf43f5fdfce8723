/** Networks as the text that the driver reads (network.h): `npx tsx test/cuda/driver/dump.ts` writes networks.txt and cases.txt beside it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createModel } from '../../../lib/index.js'
import type { Layer } from '../../../lib/model/spec.js'
import { bottleneckCases } from '../../support/fragments.js'

interface Shape {
  height: number
  width: number
  channels: number
  images: number
}

export function networkText(name: string, layers: readonly Layer[], { height, width, channels, images }: Shape): string {
  return [`network ${name.replaceAll(/\W+/g, '_')} ${height} ${width} ${channels} ${images}`, ...layers.map(layerText)].join('\n')
}

function layerText({ op, name, inputs, ...rest }: Layer): string {
  const words = Object.entries(rest as Record<string, unknown>).flatMap(([key, value]) => {
    if (value === null || value === undefined) return []
    if (key === 'attention') return [`attention=${(value as { width: number }).width}`]
    if (key === 'branches') {
      const list = value as { kernel: number; dilation: number; groups: number }[]
      return [`branches=${list.map((b) => `${b.kernel}:${b.dilation}:${b.groups}`).join('/')}`]
    }
    return [`${key}=${JSON.stringify(value)}`]
  })
  return [op, name, inputs.join(','), ...words].join(' ')
}

const benched = ['sknet50', 'resnext50_32x4d', 'seresnext50_32x4d', 'sknet_tiny_cifar']

/** What the bench runs: whole networks at their usual size. */
export function networksText(): string {
  const texts = benched.map((name) => {
    const { spec } = createModel(name)
    const { size, channels } = spec.input
    return networkText(name, spec.layers, { height: size, width: size, channels, images: 32 })
  })
  return `${texts.join('\n\n')}\n`
}

/** What the check runs: small shapes, odd ones among them, of everything a network here is made of. */
export function casesText(): string {
  const fragments = bottleneckCases.map(({ name, layers, input: [images, height, width, channels] }) =>
    networkText(name, layers, { height, width, channels, images }),
  )
  const small = ['sknet_tiny_cifar', 'shufflenetv2_x0_5', 'sk_mobilenet_v1', 'seresnext50_32x4d', 'skresnet18'].map((name) => {
    const { spec } = createModel(name, { classes: 7 })
    return networkText(name, spec.layers, { height: 33, width: 35, channels: spec.input.channels, images: 3 })
  })
  return `${[...fragments, ...small].join('\n\n')}\n`
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(join(import.meta.dirname, 'networks.txt'), networksText())
  writeFileSync(join(import.meta.dirname, 'cases.txt'), casesText())
}
