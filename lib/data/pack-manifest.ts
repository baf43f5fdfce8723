/** `pack.json` beside packed shards: what they hold, and how they look at it by default. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isInteger, isObject } from '../check.js'
import type { DatasetDefaults, Split } from './dataset.js'
import { badData, statPath, unreadable } from './folder.js'

export const packManifest = 'pack.json'
export const packFormat = 'sknet-pack-1'

/** How the pictures are stored: as they were, as JPEG, or as pixels in .npy files. */
export const packModes = ['original', 'jpeg', 'raw'] as const
export type PackMode = (typeof packModes)[number]

export interface PackedShard {
  name: string
  bytes: number
  samples: number
}

export interface PackManifest {
  format: typeof packFormat
  split: Split
  mode: PackMode
  classes: number
  classNames: string[]
  images: number
  /** Where all pictures have one size. */
  imageSize: { height: number; width: number } | null
  defaults: DatasetDefaults
  shards: PackedShard[]
}

/** The manifest of a folder, null where there is none. Throws ERR_SKNET_DATA for one that says what cannot be. */
export function readPackManifest(folder: string): PackManifest | null {
  const path = join(folder, packManifest)
  if (statPath(path) === undefined) return null
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw unreadable(path, cause)
  }
  const fault = faultOf(value)
  return fault === null ? (value as PackManifest) : badData(path, fault, `what sknet pack writes (${packFormat})`)
}

function faultOf(value: unknown): string | null {
  if (!isObject(value)) return 'no object'
  if (value.format !== packFormat) return `the format ${JSON.stringify(value.format)}`
  const { split, classes, classNames, images, imageSize, defaults, shards } = value
  if (split !== 'train' && split !== 'val') return 'no split'
  if (!isInteger(classes, { min: 1 }) || !Array.isArray(classNames) || classNames.length !== classes)
    return 'another number of names than of classes'
  if (!classNames.every((name) => typeof name === 'string')) return 'a class name that is no text'
  if (imageSize !== null && !(isObject(imageSize) && isSide(imageSize.height) && isSide(imageSize.width))) return 'a wrong imageSize'
  if (!isDefaults(defaults)) return 'wrong defaults'
  if (!Array.isArray(shards) || !shards.every(isShard)) return 'a wrong list of shards'
  const total = (shards as PackedShard[]).reduce((sum, { samples }) => sum + samples, 0)
  return total === images ? null : `${String(images)} images, but shards of ${total}`
}

const isSide = (value: unknown): boolean => isInteger(value, { min: 1, max: 65535 })

/** A name in the same folder and nowhere else. */
function isShard(value: unknown): boolean {
  const named = isObject(value) && typeof value.name === 'string' && /^[\w][\w.-]*\.tar$/.test(value.name)
  return named && isInteger(value.bytes, { min: 0 }) && isInteger(value.samples, { min: 0 })
}

function isDefaults(value: unknown): boolean {
  if (!isObject(value) || !isObject(value.eval)) return false
  const { size, mean, std, augment } = value
  const { resize, crop, interpolation } = value.eval
  const triple = (v: unknown) => Array.isArray(v) && v.length === 3 && v.every((x) => typeof x === 'number' && Number.isFinite(x))
  const known = typeof augment === 'string' && (interpolation === 'bilinear' || interpolation === 'bicubic')
  return isSide(size) && triple(mean) && triple(std) && known && isInteger(resize, { min: 0, max: 65535 }) && isSide(crop)
}
