/** Writes what torch.save writes: a zip archive of stored entries with a pickle; by hand, so that tests can also write what it never would. */
import { crc32 } from 'node:zlib'

export interface ZipPart {
  name: string | Uint8Array
  data: Uint8Array
  /** Fields of the directory that lie. */
  method?: number
  flags?: number
  crc?: number
  size?: number
  packed?: number
  header?: number
  /** The name in the entry's own header. */
  ownName?: string
}

export interface ZipLies {
  count?: number
  directorySize?: number
  directoryAt?: number
  disk?: number
  comment?: string
}

export function makeZip(parts: readonly ZipPart[], lies: ZipLies = {}): Buffer {
  const pieces: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  const add = (bytes: Uint8Array) => {
    pieces.push(Buffer.from(bytes))
    at += bytes.length
  }
  for (const part of parts) {
    const name = Buffer.from(part.name)
    const own = part.ownName === undefined ? name : Buffer.from(part.ownName)
    const begin = at
    const crc = part.crc ?? crc32(part.data)
    const head = Buffer.alloc(30)
    head.writeUInt32LE(0x04034b50, 0)
    head.writeUInt32LE(crc, 14)
    head.writeUInt32LE(part.data.length, 18)
    head.writeUInt32LE(part.data.length, 22)
    head.writeUInt16LE(own.length, 26)
    add(head)
    add(own)
    add(part.data)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(part.flags ?? 0, 8)
    entry.writeUInt16LE(part.method ?? 0, 10)
    entry.writeUInt32LE(crc, 16)
    entry.writeUInt32LE(part.packed ?? part.size ?? part.data.length, 20)
    entry.writeUInt32LE(part.size ?? part.data.length, 24)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(part.header ?? begin, 42)
    directory.push(entry, name)
  }
  const directoryAt = at
  const size = directory.reduce((sum, piece) => sum + piece.length, 0)
  const comment = Buffer.from(lies.comment ?? '')
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(lies.disk ?? 0, 4)
  end.writeUInt16LE(lies.count ?? parts.length, 8)
  end.writeUInt16LE(lies.count ?? parts.length, 10)
  end.writeUInt32LE(lies.directorySize ?? size, 12)
  end.writeUInt32LE(lies.directoryAt ?? directoryAt, 16)
  end.writeUInt16LE(comment.length, 20)
  return Buffer.concat([...pieces, ...directory, end, comment])
}

/** Opcodes of a pickle (Python's pickletools lists them). */
export const op = {
  proto: Buffer.of(0x80, 2),
  mark: Buffer.from('('),
  tuple: Buffer.from('t'),
  emptyDict: Buffer.from('}'),
  emptyTuple: Buffer.from(')'),
  emptyList: Buffer.from(']'),
  setItems: Buffer.from('u'),
  appends: Buffer.from('e'),
  reduce: Buffer.from('R'),
  persistent: Buffer.from('Q'),
  no: Buffer.of(0x89),
  stop: Buffer.from('.'),
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`),
  put: (index: number) => Buffer.of(0x71, index),
  get: (index: number) => Buffer.of(0x68, index),
  text(value: string) {
    const bytes = Buffer.from(value)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(bytes.length)
    return Buffer.concat([Buffer.from('X'), length, bytes])
  },
  /** As LONG1, 8 bytes. */
  number(value: number | bigint) {
    const bytes = Buffer.alloc(10)
    bytes[0] = 0x8a
    bytes[1] = 8
    bytes.writeBigInt64LE(BigInt(value), 2)
    return bytes
  },
}

export interface TorchTensor {
  storage: string
  /** Such as FloatStorage. */
  type?: string
  /** Numbers in the storage. */
  length: number
  offset?: number
  shape: readonly number[]
  strides: readonly number[]
}

/** Opcodes that put one tensor on the stack. */
export function tensorOps({ storage, type = 'FloatStorage', length, offset = 0, shape, strides }: TorchTensor): Buffer {
  const counts = (values: readonly number[]) => Buffer.concat([op.mark, ...values.map((v) => op.number(v)), op.tuple])
  const id = [op.mark, op.text('storage'), op.global('torch', type), op.text(storage), op.text('cpu'), op.number(length), op.tuple]
  const hooks = [op.global('collections', 'OrderedDict'), op.emptyTuple, op.reduce]
  const args = [op.mark, ...id, op.persistent, op.number(offset), counts(shape), counts(strides), op.no, ...hooks, op.tuple]
  return Buffer.concat([op.global('torch._utils', '_rebuild_tensor_v2'), ...args, op.reduce])
}

/** A pickle of a dictionary; each value is given as its opcodes. */
export function dictPickle(items: readonly (readonly [string, Uint8Array])[]): Buffer {
  const pairs = items.flatMap(([name, value]) => [op.text(name), value])
  return Buffer.concat([op.proto, op.emptyDict, op.mark, ...pairs, op.setItems, op.stop])
}

/** A whole file of float32 tensors. */
export function makeTorchFile(tensors: ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>): Buffer {
  const items = [...tensors]
  const pickle = dictPickle(
    items.map(([name, { shape, data }], i) => {
      const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, side) => product * side, 1))
      return [name, tensorOps({ storage: String(i), length: data.length, shape, strides })]
    }),
  )
  return torchArchive(
    pickle,
    items.map(([, { data }], i) => [String(i), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]),
  )
}

export function torchArchive(pickle: Uint8Array, storages: readonly (readonly [string, Uint8Array])[] = []): Buffer {
  return makeZip([
    { name: 'archive/data.pkl', data: pickle },
    { name: 'archive/byteorder', data: Buffer.from('little') },
    ...storages.map(([key, data]) => ({ name: `archive/data/${key}`, data })),
    { name: 'archive/version', data: Buffer.from('3\n') },
  ])
}
