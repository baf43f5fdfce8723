/** What Pillow and torchvision make of pictures: test/golden/images.json, written by make_images.py beside it. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Effect, TransformOptions } from '../../lib/native.js'

interface Golden {
  picture: { width: number; height: number; pixels: string }
  effects: { effect: Effect; result: string }[]
  crops: { width: number; height: number; quantiles: Record<'area' | 'aspect' | 'x' | 'y', number[]> }
  photos: Record<string, { decoded: string; bilinear: string; bicubic: string }>
}

export function goldenImages(): Golden {
  return JSON.parse(readFileSync(path.join(import.meta.dirname, '../golden/images.json'), 'utf8')) as Golden
}

/** A transform that changes nothing. */
export function plainTransform(width: number, height: number): TransformOptions {
  const one: [number, number] = [1, 1]
  const common = { pad: 0, area: one, aspect: one, resize: 0, flip: 0, interpolation: 'bilinear' as const }
  return { width, height, geometry: 'resize_crop', ...common, mean: [0, 0, 0], std: [1, 1, 1] }
}

/** Normalised with mean 0 and deviation 1, back to bytes. */
export function toBytes(values: Float32Array): Uint8Array {
  return Uint8Array.from(values, (v) => Math.round(v * 255))
}
