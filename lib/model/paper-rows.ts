/**
 * The rows of the paper's ablations (tables 3, 6 and 7; FACTS 1.6 to 1.8) as networks with names of their own: options over SKNet-50 or
 * ResNeXt-50. K3, K5 and K7 are 3x3 kernels of dilation 1, 2 and 3; `_sum` leaves the attention out.
 */
import { resnextSpec } from './resnext.js'
import { sknetSpec } from './sknet.js'
import type { SknetOptions } from './sknet.js'
import type { ModelSpec } from './spec.js'

const K3 = { dilation: 1 }
const K5 = { dilation: 2 }
const K7 = { dilation: 3 }
const sum = { attention: false }

const rows = {
  // Table 3: ResNeXt-50 at SKNet-50's cost.
  resnext50_wider: { base: 'resnext', options: { midWidth: 136, outWidth: 272, groups: 34 } },
  resnext56_32x4d: { base: 'resnext', options: { blocks: [3, 4, 8, 3] } },
  resnext50_36x4d: { base: 'resnext', options: { midWidth: 144, groups: 36 } },
  // Table 6: the second branch; 3x3 of dilation 3 is K3+K7 of table 7.
  sknet50_3x3d1: { base: 'sknet', options: { branches: [K3, K3] } },
  sknet50_5x5g64: { base: 'sknet', options: { branches: [K3, { kernel: 5, groups: 64 }] } },
  sknet50_7x7g128: { base: 'sknet', options: { branches: [K3, { kernel: 7, groups: 128 }] } },
  // Table 7: kernels combined.
  sknet50_k3: { base: 'sknet', options: { branches: [K3], ...sum } },
  sknet50_k5: { base: 'sknet', options: { branches: [K5], ...sum } },
  sknet50_k7: { base: 'sknet', options: { branches: [K7], ...sum } },
  sknet50_k3k5_sum: { base: 'sknet', options: { branches: [K3, K5], ...sum } },
  sknet50_k3k7_sum: { base: 'sknet', options: { branches: [K3, K7], ...sum } },
  sknet50_k3k7: { base: 'sknet', options: { branches: [K3, K7] } },
  sknet50_k5k7_sum: { base: 'sknet', options: { branches: [K5, K7], ...sum } },
  sknet50_k5k7: { base: 'sknet', options: { branches: [K5, K7] } },
  sknet50_k3k5k7_sum: { base: 'sknet', options: { branches: [K3, K5, K7], ...sum } },
  sknet50_k3k5k7: { base: 'sknet', options: { branches: [K3, K5, K7] } },
} as const satisfies Record<string, { base: 'resnext' | 'sknet'; options: object }>

export type PaperRow = keyof typeof rows

export const paperRows = Object.keys(rows) as PaperRow[]

/** Rows that are another network under a second name. */
export const paperAliases = { sknet50_3x3d2: 'sknet50', sknet50_k3k5: 'sknet50', sknet50_3x3d3: 'sknet50_k3k7' } as const

/** The row's network; `options` go over the row's own. */
export function paperRowSpec(row: PaperRow, options: SknetOptions = {}): ModelSpec {
  const { base, options: own } = rows[row]
  const merged = { ...structuredClone(own), ...options } as SknetOptions
  return base === 'resnext' ? resnextSpec(50, merged, row) : sknetSpec(50, merged, row)
}
