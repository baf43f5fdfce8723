/**
 * `meta.mat` of ImageNet's devkit: a MATLAB 5 file with one struct array, `synsets`, of which ILSVRC2012_ID and WNID are read. Only what that file
 * needs of the format: little-endian, elements that may be compressed, structs, text and numbers.
 */
import { readFileSync } from 'node:fs'
import { inflateSync } from 'node:zlib'
import { badData, unreadable } from './folder.js'

const COMPRESSED = 15
const MATRIX = 14
const STRUCT = 2
/** The devkit's file has 1.2 MB inflated. */
const LARGEST = 64 * 2 ** 20

interface Element {
  type: number
  data: Buffer
}

/** ILSVRC2012_ID -> synset. Throws ERR_SKNET_DATA naming the file. */
export function synsetsOfMeta(path: string): Map<number, string> {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (cause) {
    throw unreadable(path, cause)
  }
  try {
    const found = structs(bytes)
    if (found.size > 0) return found
  } catch {
    // Not the format: said below.
  }
  return badData(path, 'no table of synsets', "the meta.mat of ImageNet's devkit")
}

function structs(file: Buffer): Map<number, string> {
  const [outer] = elements(file.subarray(128))
  const matrix = outer!.type === COMPRESSED ? elements(inflateSync(outer!.data, { maxOutputLength: LARGEST }))[0]! : outer!
  const [flags, dimensions, , nameLength, names, ...values] = elements(matrix.data)
  if (matrix.type !== MATRIX || flags!.data[0] !== STRUCT) throw new Error('no struct')
  const width = nameLength!.data.readInt32LE(0)
  const fields = Array.from({ length: names!.data.length / width }, (_, i) => text(names!.data.subarray(i * width, (i + 1) * width)))
  const count = dimensions!.data.readInt32LE(0) * dimensions!.data.readInt32LE(4)
  const [id, wnid] = [fields.indexOf('ILSVRC2012_ID'), fields.indexOf('WNID')]
  if (id < 0 || wnid < 0 || values.length !== count * fields.length) throw new Error('other fields')
  const value = (row: number, field: number) => elements(values[row * fields.length + field]!.data)[3]!
  return new Map(Array.from({ length: count }, (_, row) => [number(value(row, id)), characters(value(row, wnid))]))
}

/** Type and size in 8 bytes, or in 4 where at most 4 bytes of data follow; filled up to 8. */
function elements(data: Buffer): Element[] {
  const found: Element[] = []
  for (let at = 0; at + 8 <= data.length;) {
    const word = data.readUInt32LE(at)
    const small = word >>> 16
    const size = small > 0 ? small : data.readUInt32LE(at + 4)
    const begin = at + (small > 0 ? 4 : 8)
    const type = word & 0xffff
    found.push({ type, data: data.subarray(begin, begin + size) })
    at = small > 0 ? at + 8 : begin + (type === COMPRESSED ? size : Math.ceil(size / 8) * 8)
  }
  return found
}

/** Numbers are stored in the smallest type that holds them: int8 to float64. */
function number({ type, data }: Element): number {
  const readers: Record<number, () => number> = {
    1: () => data.readInt8(0),
    2: () => data.readUInt8(0),
    3: () => data.readInt16LE(0),
    4: () => data.readUInt16LE(0),
    5: () => data.readInt32LE(0),
    6: () => data.readUInt32LE(0),
    9: () => data.readDoubleLE(0),
  }
  const read = readers[type]
  if (read === undefined) throw new Error('another type')
  return read()
}

/** 16-bit characters, or UTF-8. */
function characters({ type, data }: Element): string {
  return type === 4 || type === 17 ? data.toString('utf16le') : text(data)
}

function text(data: Buffer): string {
  const end = data.indexOf(0)
  return data.toString('utf8', 0, end < 0 ? data.length : end)
}
