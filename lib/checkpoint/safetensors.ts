/**
 * Reading and writing safetensors files (8 bytes header length, JSON header, data). The reader is stricter than the reference: duplicate keys,
 * unknown fields, odd names, ranks over 8, gaps, overlaps and trailing bytes are refused. Files are read, never mapped.
 */
import { open, stat } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { describe } from '../check.js'
import { SknetError } from '../errors.js'
import { allocate, bytesOf, dtypeBits, fits, viewOf } from './dtype.js'
import type { SafeTensor } from './dtype.js'
import { readAll, replaceFile } from './files.js'
import { formatError, headerSize, parseHeader } from './safetensors-header.js'
import type { Header } from './safetensors-header.js'

export { toFloat32 } from './dtype.js'
export type { DtypeName, SafeTensor, TensorData } from './dtype.js'

export interface SafetensorsFile {
  metadata: Map<string, string>
  tensors: Map<string, SafeTensor>
}

/** Bytes read or copied between two turns of the event loop. */
const PIECE = 1 << 22

/**
 * Tensors by name, in the order of their data; `source` is a path or the file's bytes. F16 and BF16 come as raw bits in a Uint16Array;
 * toFloat32 converts. Throws ERR_SKNET_FORMAT with path, tensor, got and expected.
 */
export async function readSafetensors(source: string | Uint8Array): Promise<Map<string, SafeTensor>> {
  return (await readSafetensorsFile(source)).tensors
}

/** The same with the file's metadata. `name` stands for the path in errors where the source is bytes. */
export async function readSafetensorsFile(source: string | Uint8Array, name?: string): Promise<SafetensorsFile> {
  if (source instanceof Uint8Array) return parseBytes(source, name)
  if (typeof source !== 'string' || source === '') {
    throw new SknetError('ERR_SKNET_OPTION', `path is ${describe(source)}; expected a path or a Uint8Array`, {
      option: 'path',
      got: source,
      expected: 'a path or a Uint8Array',
    })
  }
  try {
    return await readFrom(source)
  } catch (cause) {
    if (cause instanceof SknetError) throw cause
    throw formatError(source, `cannot be read: ${(cause as Error).message}`, {
      got: (cause as NodeJS.ErrnoException).code,
      expected: 'a readable file',
      cause,
    })
  }
}

/** Only the header, for those who want to know what is in a file. */
export async function readSafetensorsHeader(path: string): Promise<Header> {
  const file = await open(path, 'r')
  try {
    return (await readHeader(file, path)).header
  } finally {
    await file.close()
  }
}

/**
 * Writes a file in one step: a kill leaves the old one or the new one. The same tensors and metadata give the same bytes, whatever order they
 * come in. Throws ERR_SKNET_OPTION for data that does not fit its shape, ERR_SKNET_CHECKPOINT_IO.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, SafeTensor>,
  metadata: Record<string, string> = {},
): Promise<void> {
  await replaceFile(path, encodeSafetensors(tensors, metadata))
}

/** The parts of a file, to be written one after the other. */
export function encodeSafetensors(tensors: ReadonlyMap<string, SafeTensor>, metadata: Record<string, string> = {}): Uint8Array[] {
  const entries = [...tensors].map(([name, tensor]) => ({ name, tensor, bits: checkTensor(name, tensor) }))
  // Wide types first, so that every tensor is aligned; then by name.
  entries.sort((a, b) => b.bits - a.bits || (a.name < b.name ? -1 : 1))
  const fields = Object.keys(metadata)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`)
  const items = fields.length === 0 ? [] : [`"__metadata__":{${fields.join(',')}}`]
  let at = 0
  for (const { name, tensor } of entries) {
    const offsets = [at, (at += tensor.data.byteLength)]
    items.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype: tensor.dtype, shape: tensor.shape, data_offsets: offsets })}`)
  }
  const json = new TextEncoder().encode(`{${items.join(',')}}`)
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true)
  header.set(json, 8)
  return [header, ...entries.map(({ tensor }) => bytesOf(tensor.data))]
}

function checkTensor(name: string, { dtype, shape, data }: SafeTensor): number {
  const bits = shape.reduce((product, side) => product * side, dtypeBits(dtype))
  if (name !== '' && name !== '__metadata__' && fits(dtype, data) && data.byteLength * 8 === bits) return dtypeBits(dtype)
  const expected = `${bits / 8} bytes of ${dtype} for the shape ${shape.join('x')}`
  throw new SknetError('ERR_SKNET_OPTION', `tensors.${name} is ${describe(data)}; expected ${expected}`, {
    option: `tensors.${name}`,
    tensor: name,
    got: data,
    expected,
  })
}

async function readFrom(path: string): Promise<SafetensorsFile> {
  // Opening a pipe would wait for someone to write into it.
  if (!(await stat(path)).isFile()) throw formatError(path, 'this is no file', { expected: 'a safetensors file' })
  const file = await open(path, 'r')
  try {
    const { header, dataAt } = await readHeader(file, path)
    const tensors = new Map<string, SafeTensor>()
    for (const { name, dtype, shape, begin, end } of header.tensors) {
      const data = allocate(dtype, end - begin)
      const bytes = bytesOf(data)
      for (let at = 0; at < bytes.length; at += PIECE) {
        const piece = bytes.subarray(at, at + PIECE)
        const read = await readAll(file, piece, dataAt + begin + at)
        if (read < piece.length) {
          throw formatError(path, `${name}: the file became shorter while it was read`, {
            tensor: name,
            got: at + read,
            expected: `${bytes.length} bytes`,
          })
        }
      }
      tensors.set(name, { dtype, shape, data })
    }
    return { metadata: header.metadata, tensors }
  } finally {
    await file.close()
  }
}

async function readHeader(file: Awaited<ReturnType<typeof open>>, path: string): Promise<{ header: Header; dataAt: number }> {
  const { size } = await file.stat()
  const first = new Uint8Array(8)
  const length = headerSize(first.subarray(0, await readAll(file, first, 0)), size, path)
  const json = new Uint8Array(length)
  if ((await readAll(file, json, 8)) < length) {
    throw formatError(path, 'the file became shorter while it was read', { expected: `${length} bytes of header` })
  }
  return { header: await parseHeader(json, size - 8 - length, path), dataAt: 8 + length }
}

async function parseBytes(source: Uint8Array, name?: string): Promise<SafetensorsFile> {
  // A Buffer's slice would not copy.
  const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
  const length = headerSize(bytes.subarray(0, 8), bytes.length, name)
  const header = await parseHeader(bytes.subarray(8, 8 + length), bytes.length - 8 - length, name)
  const tensors = new Map<string, SafeTensor>()
  let copied = 0
  for (const { name: tensor, dtype, shape, begin, end } of header.tensors) {
    const copy = bytes.slice(8 + length + begin, 8 + length + end)
    tensors.set(tensor, { dtype, shape, data: viewOf(dtype, copy.buffer) })
    copied += copy.length
    if (copied < PIECE) continue
    copied = 0
    await setImmediate()
  }
  return { metadata: header.metadata, tensors }
}
