/**
 * Caffe's trained networks (`.caffemodel`, a NetParameter in protobuf's wire format): weights by layer, and what layers say about themselves that
 * a network here can differ in. Batch norm comes in three ways, all read as one: BatchNorm (mean and variance times a factor) with a Scale layer
 * behind it, and the four blobs of CuDNNBatchNorm, as the models of SKNet's authors have them (scale, shift, mean, variance).
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { open } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { SknetError } from '../errors.js'
import type { SafeTensor } from './dtype.js'
import { readAll } from './files.js'
import { formatError } from './safetensors-header.js'

/** A max-pool as its layer says; Caffe rounds sizes up. */
export interface CaffePool {
  kernel: number
  stride: number
  padding: number
  ceil: boolean
}

export interface CaffeFile {
  /** `<layer>.weight`, `.bias`, and for batch norm `.running_mean` and `.running_var` too. */
  tensors: Map<string, SafeTensor>
  pools: Map<string, CaffePool>
  /** Of batch norm layers. */
  eps: Map<string, number>
}

interface Blob {
  shape: number[]
  data: Float32Array
}

interface CaffeLayer {
  name: string
  type: string
  bottoms: string[]
  tops: string[]
  blobs: Blob[]
  pool: CaffePool | null
  eps: number
}

/** Protobuf's own limit. */
const LARGEST_FILE = 2 ** 31 - 1
const MOST_LAYERS = 1 << 14
const MOST_BLOBS = 8
const LARGEST_RANK = 8
const LONGEST_NAME = 1024
/** Bytes read between two turns of the event loop. */
const PIECE = 1 << 22
const DEFAULT_EPS = 1e-5

/** Throws ERR_SKNET_FORMAT naming the layer. */
export async function readCaffeFile(path: string): Promise<CaffeFile> {
  const reader = new BinaryReader(await readWhole(path))
  const file: CaffeFile = { tensors: new Map(), pools: new Map(), eps: new Map() }
  /** The layer that last wrote a value: layers may work in place. */
  const writers = new Map<string, CaffeLayer>()
  const names = new Set<string>()
  try {
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag()
      if (field === 2)
        throw damaged(
          path,
          'its layers are of the old kind (V1)',
          'layers as Caffe writes them since 2014; upgrade_net_proto_binary converts',
        )
      if (field !== 100) {
        reader.skip(type, field)
        continue
      }
      const layer = readLayer(message(reader, type), path)
      if (names.has(layer.name) || names.size >= MOST_LAYERS)
        throw damaged(path, `the layer ${layer.name} is there twice`, 'names that occur once')
      names.add(layer.name)
      takeLayer(layer, writers, file, path)
      for (const top of layer.tops) writers.set(top, layer)
      await setImmediate()
    }
  } catch (cause) {
    if (cause instanceof SknetError) throw cause
    throw formatError(path, `the file is damaged near byte ${reader.pos}: ${(cause as Error).message}`, {
      expected: 'a .caffemodel file',
      cause,
    })
  }
  if (file.tensors.size === 0) throw damaged(path, 'there are no weights in it', 'a .caffemodel file of a trained network')
  return file
}

function takeLayer(layer: CaffeLayer, writers: ReadonlyMap<string, CaffeLayer>, file: CaffeFile, path: string): void {
  const { name, type, blobs, pool } = layer
  const add = (part: string, { shape, data }: Blob, owner = name) => file.tensors.set(`${owner}.${part}`, { dtype: 'F32', shape, data })
  const flat = ({ data }: Blob): Blob => ({ shape: [data.length], data })
  const fail = (expected: string) => layerError(path, name, `${type} has ${blobs.length} blobs`, blobs.length, expected)
  if (type === 'Pooling' && pool !== null) file.pools.set(name, pool)
  if (type === 'Convolution' || type === 'InnerProduct') {
    if (blobs.length < 1 || blobs.length > 2) throw fail('a weight and perhaps a bias')
    add('weight', blobs[0]!)
    if (blobs[1] !== undefined) add('bias', flat(blobs[1]))
  } else if (type === 'BatchNorm' && blobs.length === 3) {
    const factor = blobs[2]!.data[0]
    if (factor === undefined || blobs[2]!.data.length !== 1)
      throw layerError(path, name, 'its factor is no single number', factor, 'one number')
    // A factor of 0: nothing was averaged yet.
    const scaled = ({ data }: Blob): Blob => ({ shape: [data.length], data: data.map((v) => (factor === 0 ? 0 : v / factor)) })
    add('running_mean', scaled(blobs[0]!))
    add('running_var', scaled(blobs[1]!))
    file.eps.set(name, layer.eps)
  } else if (type === 'BatchNorm' || type === 'CuDNNBatchNorm') {
    if (blobs.length !== 4) throw fail('mean, variance and factor, or scale, shift, mean and variance')
    ;['weight', 'bias', 'running_mean', 'running_var'].forEach((part, i) => add(part, flat(blobs[i]!)))
    file.eps.set(name, layer.eps)
  } else if (type === 'Scale' && blobs.length > 0) {
    const norm = writers.get(layer.bottoms[0] ?? '')
    if (norm?.type !== 'BatchNorm' || blobs.length > 2)
      throw layerError(path, name, 'it scales what is no batch norm', norm?.name, 'a Scale layer behind a BatchNorm')
    add('weight', flat(blobs[0]!), norm.name)
    add('bias', flat(blobs[1] ?? { shape: [], data: new Float32Array(blobs[0]!.data.length) }), norm.name)
  } else if (blobs.length > 0) {
    throw layerError(
      path,
      name,
      `its type ${type} has weights that no network here has`,
      type,
      'convolutions, batch norm and inner products',
    )
  }
}

/** LayerParameter */
function readLayer(reader: BinaryReader, path: string): CaffeLayer {
  const layer: CaffeLayer = { name: '', type: '', bottoms: [], tops: [], blobs: [], pool: null, eps: DEFAULT_EPS }
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (type !== WireType.LengthDelimited) reader.skip(type, field)
    else if (field === 1) layer.name = reader.string()
    else if (field === 2) layer.type = reader.string()
    else if (field === 3) layer.bottoms.push(reader.string())
    else if (field === 4) layer.tops.push(reader.string())
    else if (field === 7) {
      if (layer.blobs.length === MOST_BLOBS)
        throw layerError(path, layer.name, 'it has too many blobs', MOST_BLOBS, `at most ${MOST_BLOBS} blobs`)
      layer.blobs.push(readBlob(message(reader, type), path, layer.name))
    } else if (field === 121) layer.pool = readPool(message(reader, type))
    else if (field === 139) layer.eps = readEps(message(reader, type))
    else reader.skip(type, field)
  }
  if (layer.name === '' || layer.name.length > LONGEST_NAME || layer.name.includes('\0')) {
    throw damaged(path, `a layer is called ${JSON.stringify(layer.name.slice(0, 80))}`, 'a plain name')
  }
  return layer
}

/** BlobProto: the shape as a list, or in the older way as four sides. */
function readBlob(reader: BinaryReader, path: string, layer: string): Blob {
  let shape: number[] | null = null
  const sides = [1, 1, 1, 1]
  let old = false
  let data = new Float32Array(0)
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (field >= 1 && field <= 4 && type === WireType.Varint) {
      sides[field - 1] = reader.int32()
      old = true
    } else if (field === 5 && type === WireType.LengthDelimited) {
      const bytes = reader.bytes()
      if (data.length > 0 || bytes.length % 4 !== 0) throw layerError(path, layer, 'its numbers are damaged', bytes.length, 'packed floats')
      data = new Float32Array(bytes.slice().buffer)
    } else if (field === 7) shape = readShape(message(reader, type))
    else if (field === 5 || field === 8) throw layerError(path, layer, 'its numbers are stored in another way', field, 'packed floats')
    else reader.skip(type, field)
  }
  const found = shape ?? (old ? sides : [data.length])
  const elements = found.reduce((product, side) => product * side, 1)
  if (found.length > LARGEST_RANK || found.some((side) => !(side >= 0)) || elements !== data.length) {
    throw layerError(
      path,
      layer,
      `a blob of ${found.slice(0, LARGEST_RANK).join('x')} has ${data.length} numbers`,
      data.length,
      'as many numbers as its shape says',
    )
  }
  return { shape: found, data }
}

/** BlobShape: sides as packed or single whole numbers. */
function readShape(reader: BinaryReader): number[] {
  const sides: number[] = []
  while (reader.pos < reader.len && sides.length <= LARGEST_RANK) {
    const [field, type] = reader.tag()
    if (field !== 1) reader.skip(type, field)
    else if (type === WireType.LengthDelimited) {
      const packed = message(reader, type)
      while (packed.pos < packed.len && sides.length <= LARGEST_RANK) sides.push(Number(packed.int64()))
    } else sides.push(Number(reader.int64()))
  }
  return sides
}

/** PoolingParameter; null for anything but a max-pool of a square window. */
function readPool(reader: BinaryReader): CaffePool | null {
  const fields = new Map<number, number>()
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (type === WireType.Varint) fields.set(field, Number(reader.int64()))
    else reader.skip(type, field)
  }
  const of = (field: number, byDefault: number) => fields.get(field) ?? byDefault
  const square = of(5, of(2, 0)) === of(6, of(2, 0)) && of(7, of(3, 1)) === of(8, of(3, 1)) && of(9, of(4, 0)) === of(10, of(4, 0))
  if (of(1, 0) !== 0 || of(12, 0) !== 0 || !square) return null
  return { kernel: of(5, of(2, 0)), stride: of(7, of(3, 1)), padding: of(9, of(4, 0)), ceil: of(13, 0) === 0 }
}

/** BatchNormParameter: eps alone; forks have fields of their own. */
function readEps(reader: BinaryReader): number {
  let eps = DEFAULT_EPS
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (field === 3 && type === WireType.Bit32) eps = Number(reader.float().toPrecision(7))
    else reader.skip(type, field)
  }
  return eps
}

function message(reader: BinaryReader, type: WireType): BinaryReader {
  if (type !== WireType.LengthDelimited) throw new Error(`a message has the wire type ${type}`)
  return new BinaryReader(reader.bytes())
}

async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    if (size > LARGEST_FILE) throw damaged(path, `it is ${size} bytes`, `at most ${LARGEST_FILE} bytes, protobuf's limit`)
    const bytes = new Uint8Array(size)
    for (let at = 0; at < size; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE)
      if ((await readAll(file, piece, at)) < piece.length) throw damaged(path, 'it became shorter while it was read', `${size} bytes`)
    }
    return bytes
  } finally {
    await file.close()
  }
}

function damaged(path: string, what: string, expected: string): SknetError {
  return formatError(path, what, { expected })
}

function layerError(path: string, layer: string, what: string, got: unknown, expected: string): SknetError {
  const name = layer.slice(0, 80)
  return formatError(path, `layer ${name}: ${what}`, { tensor: name, got, expected })
}
