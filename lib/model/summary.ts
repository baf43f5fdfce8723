/** What a network is made of, as data and as a table. */
import { countLayers, sumOf } from './count.js'
import type { LayerCount } from './count.js'
import type { InputSize } from './shapes.js'
import type { ModelSpec } from './spec.js'

export interface Summary {
  name: string
  /** Trained numbers. */
  params: number
  /** Running statistics. */
  buffers: number
  /** Multiply-accumulates of convolutions and linear layers for one image. */
  macs: number
  layers: LayerCount[]
  /** The table, one line a layer. */
  toString(): string
}

export function summarize(spec: ModelSpec, size: InputSize = spec.input.size): Summary {
  const layers = countLayers(spec, size)
  const sums = { params: sumOf(layers, 'params'), buffers: sumOf(layers, 'buffers'), macs: sumOf(layers, 'macs') }
  const { height, width } = typeof size === 'number' ? { height: size, width: size } : size
  const summary: Summary = { name: spec.arch, ...sums, layers, toString: () => table(summary, `${height}x${width}`) }
  // The table is for people; JSON of a summary holds its data.
  Object.defineProperty(summary, 'toString', { enumerable: false })
  return summary
}

function table({ name, params, buffers, macs, layers }: Summary, size: string): string {
  const rows = layers.map((l) => [l.name, l.op, l.outputShape.join(' x '), grouped(l.params), grouped(l.macs)])
  const titles = ['layer', 'op', 'output', 'params', 'MACs']
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  const line = (row: string[]) => row.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')
  const total = `${name} at ${size}: ${grouped(params)} parameters, ${grouped(buffers)} running statistics, ${grouped(macs)} MACs (convolutions and linear layers)`
  return [line(titles), widths.map((w) => '-'.repeat(w)).join('  '), ...rows.map(line), '', total].join('\n')
}

function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',')
}
