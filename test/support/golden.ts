import { existsSync, readFileSync } from 'node:fs'
import { tensor, type Tensor } from '../reference/tensor.js'

const folders = [new URL('../golden/', import.meta.url), new URL('../../../shared/golden/', import.meta.url)]

/** Where a golden file lies: beside the tests, or (the large ones) in the folder shared with the project; null where it is in neither. */
export function goldenFile(name: string): URL | null {
  return folders.map((folder) => new URL(name, folder)).find((url) => existsSync(url)) ?? null
}

export interface BlockCase {
  kind: 'block'
  file: string
  op: 'sk_unit' | 'sk_bottleneck'
  inChannels: number
  groups: number
  stride: number
  /** [n, c, h, w] */
  input: [number, number, number, number]
  outChannels?: number
  branches?: number
  d?: number
  planes?: number
  baseWidth?: number
}

export interface TrainCase {
  kind: 'train'
  file: string
  layers: number[]
  groups: number
  baseWidth: number
  channels: number[]
  stem: number
  classes: number
  lr: number
  momentum: number
  weightDecay: number
  losses: number[]
  input: [number, number, number, number]
}

export interface FullCase {
  kind: 'full'
  timm: string
  params: number
  input: [number, number, number, number]
  x: string
  logits_first8: number[][]
  logits_norm: number[]
  argmax: number[]
}

export interface FillCase {
  kind: 'fill'
  name: string
  first4: number[]
  conv1_first4: number[]
}

export type GoldenCase = BlockCase | TrainCase | FullCase | FillCase

export function goldenCases<K extends GoldenCase['kind']>(kind: K): Extract<GoldenCase, { kind: K }>[] {
  const index = JSON.parse(readFileSync(new URL('index.json', folders[0]), 'utf8')) as { cases: GoldenCase[] }
  return index.cases.filter((c): c is Extract<GoldenCase, { kind: K }> => c.kind === kind)
}

/** The tensors of a safetensors file (F32 and I32, which is all that golden files hold), in their own shapes. */
export function readGolden(file: URL): Map<string, Tensor> {
  const bytes = readFileSync(file)
  const headerSize = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerSize)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  const tensors = new Map<string, Tensor>()
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const [first, end] = data_offsets.map((offset) => 8 + headerSize + offset) as [number, number]
    const copy = bytes.buffer.slice(bytes.byteOffset + first, bytes.byteOffset + end)
    if (dtype !== 'F32' && dtype !== 'I32') throw new Error(`${name}: unexpected dtype ${dtype}`)
    tensors.set(name, tensor(shape, dtype === 'F32' ? new Float32Array(copy) : new Int32Array(copy)))
  }
  return tensors
}

/** The tensors whose name starts with `prefix`, without it. */
export function withoutPrefix(tensors: ReadonlyMap<string, Tensor>, prefix: string, newPrefix = ''): Map<string, Tensor> {
  return new Map(
    [...tensors].filter(([name]) => name.startsWith(prefix)).map(([name, t]) => [newPrefix + name.slice(prefix.length), t] as const),
  )
}

/** NCHW, as stored, to NHWC, as we compute. */
export function toNhwc(t: Tensor): Tensor {
  const [n, c, h, w] = t.shape as [number, number, number, number]
  const result = new Float64Array(t.data.length)
  for (let b = 0; b < n; b++) {
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < h * w; i++) result[(b * h * w + i) * c + k] = t.data[(b * c + k) * h * w + i]!
    }
  }
  return tensor([n, h, w, c], result)
}
