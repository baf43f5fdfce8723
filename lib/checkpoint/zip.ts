/**
 * The directory of a zip archive as PyTorch writes it: entries stored without compression. Read strictly, since names, sizes and places come
 * from whoever made the file: what is encrypted, split, doubled or overlapping is refused, and so is reading what
 * is compressed: no entry is larger than the file.
 */
import type { FileHandle } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { readAll } from './files.js'
import { formatError } from './safetensors-header.js'

export interface ZipEntry {
  name: string
  /** Where the data begins in the file, and its bytes there. */
  at: number
  size: number
  crc: number
  /** false: compressed, and never read. */
  stored: boolean
}

interface Listed extends ZipEntry {
  /** Where the entry's own header begins. */
  header: number
}

const LARGEST_DIRECTORY = 1 << 26
const MOST_ENTRIES = 1 << 17
const LONGEST_NAME = 1024
/** Bytes read between two turns of the event loop. */
const PIECE = 1 << 22

const [ENTRY, LISTED, END, END64, LOCATOR64] = [0x04034b50, 0x02014b50, 0x06054b50, 0x06064b50, 0x07064b50]

/** All entries by name. Throws ERR_SKNET_FORMAT. */
export async function readZipDirectory(file: FileHandle, path: string): Promise<Map<string, ZipEntry>> {
  const fail = (message: string, got?: unknown, expected = 'a zip archive as torch.save writes it') =>
    formatError(path, message, { got, expected })
  const { size: fileSize } = await file.stat()
  const { at, size, count, end } = await findDirectory(file, fileSize, fail)
  if (size > LARGEST_DIRECTORY || count > MOST_ENTRIES) throw fail(`the directory has ${count} entries in ${size} bytes`, count)
  if (at + size > end) throw fail('the directory passes its end', at + size)
  const listed = parseDirectory(await bytesAt(file, at, size), count, fail)
  listed.sort((a, b) => a.header - b.header)
  for (const [i, entry] of listed.entries()) {
    entry.at = await dataStart(file, entry, fail)
    const limit = listed[i + 1]?.header ?? at
    if (entry.at + entry.size > limit)
      throw fail(`the entry ${entry.name} overlaps what follows it`, entry.name, 'entries one after the other')
  }
  const entries = new Map<string, ZipEntry>()
  for (const { header: _header, ...entry } of listed) {
    if (entries.has(entry.name)) throw fail(`the entry ${entry.name} is there twice`, entry.name, 'names that occur once')
    entries.set(entry.name, entry)
  }
  return entries
}

/** The data of one entry, its checksum proved. */
export async function readZipEntry(file: FileHandle, entry: ZipEntry, path: string): Promise<Uint8Array<ArrayBuffer>> {
  if (!entry.stored) {
    const expected = 'entries stored as they are, as torch.save writes them'
    throw formatError(path, `the entry ${entry.name} is compressed`, { got: entry.name, expected })
  }
  const bytes = new Uint8Array(entry.size)
  let crc = 0
  for (let at = 0; at < bytes.length; at += PIECE) {
    const piece = bytes.subarray(at, at + PIECE)
    if ((await readAll(file, piece, entry.at + at)) < piece.length) {
      throw formatError(path, `${entry.name}: the file became shorter while it was read`, { expected: `${entry.size} bytes` })
    }
    crc = crc32(piece, crc)
  }
  // PyTorch can be told not to compute checksums.
  if (entry.crc !== 0 && crc !== entry.crc) {
    throw formatError(path, `${entry.name} was damaged: its checksum does not match`, { got: crc, expected: `the CRC-32 ${entry.crc}` })
  }
  return bytes
}

type Fail = (message: string, got?: unknown, expected?: string) => Error

interface Directory {
  at: number
  size: number
  count: number
  /** Where the records behind the directory begin. */
  end: number
}

/** The record at the end of the file, and the 64-bit one before it where there is one. */
async function findDirectory(file: FileHandle, fileSize: number, fail: Fail): Promise<Directory> {
  const tailAt = Math.max(0, fileSize - 22 - 0xffff)
  const tail = viewOf(await bytesAt(file, tailAt, fileSize - tailAt))
  let end = tail.byteLength - 22
  while (end >= 0 && !(tail.getUint32(end, true) === END && end + 22 + tail.getUint16(end + 20, true) === tail.byteLength)) end--
  if (end < 0) throw fail('there is no zip directory at the end; the file was cut short, or is no zip archive')
  const endAt = tailAt + end
  const disks = [tail.getUint16(end + 4, true), tail.getUint16(end + 6, true)]
  if (disks.some((disk) => disk !== 0 && disk !== 0xffff)) throw fail('the archive is split over several files', disks)
  const short = { count: tail.getUint16(end + 10, true), size: tail.getUint32(end + 12, true), at: tail.getUint32(end + 16, true) }
  if (short.count !== 0xffff && short.size !== 0xffffffff && short.at !== 0xffffffff) return { ...short, end: endAt }
  if (endAt < 20) throw fail('the 64-bit directory is missing')
  const locator = viewOf(await bytesAt(file, endAt - 20, 20))
  const recordAt = safe(locator.getBigUint64(8, true))
  if (locator.getUint32(0, true) !== LOCATOR64 || recordAt > endAt - 20 - 56) throw fail('the 64-bit directory is missing')
  const record = viewOf(await bytesAt(file, recordAt, 56))
  if (record.getUint32(0, true) !== END64) throw fail('the 64-bit directory is missing')
  return {
    count: safe(record.getBigUint64(32, true)),
    size: safe(record.getBigUint64(40, true)),
    at: safe(record.getBigUint64(48, true)),
    end: recordAt,
  }
}

function parseDirectory(bytes: Uint8Array, count: number, fail: Fail): Listed[] {
  const view = viewOf(bytes)
  const entries: Listed[] = []
  let at = 0
  while (entries.length < count) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== LISTED) throw fail(`entry ${entries.length} of the directory is damaged`)
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => view.getUint16(at + field, true)) as [number, number, number]
    const next = at + 46 + nameBytes + extraBytes + commentBytes
    if (next > bytes.length) throw fail(`entry ${entries.length} of the directory passes its end`)
    const name = checkName(bytes.subarray(at + 46, at + 46 + nameBytes), fail)
    const flags = view.getUint16(at + 8, true)
    const stored = view.getUint16(at + 10, true) === 0
    if ((flags & 0x2041) !== 0) throw fail(`the entry ${name} is encrypted`, flags, 'entries that are not encrypted')
    const places = wide(view, at, at + 46 + nameBytes, extraBytes)
    if (places === null || (stored && places.packed !== places.size)) {
      throw fail(`the sizes of ${name} do not agree`, name, 'a stored entry')
    }
    entries.push({ name, header: places.header, at: 0, size: places.packed, crc: view.getUint32(at + 16, true), stored })
    at = next
  }
  if (at !== bytes.length) throw fail('the directory holds more than its entries', bytes.length - at)
  return entries
}

/** Sizes and place of an entry, from the 64-bit extra field where the short ones are all ones; null where that is missing. */
function wide(view: DataView, at: number, extraAt: number, extraBytes: number): { packed: number; size: number; header: number } | null {
  const fields = { size: view.getUint32(at + 24, true), packed: view.getUint32(at + 20, true), header: view.getUint32(at + 42, true) }
  const long = (['size', 'packed', 'header'] as const).filter((field) => fields[field] === 0xffffffff)
  if (long.length === 0) return fields
  for (let field = extraAt; field + 4 <= extraAt + extraBytes; field += 4 + view.getUint16(field + 2, true)) {
    if (view.getUint16(field, true) !== 1) continue
    const room = Math.min(view.getUint16(field + 2, true), extraAt + extraBytes - field - 4)
    if (room < 8 * long.length) return null
    long.forEach((name, i) => (fields[name] = safe(view.getBigUint64(field + 4 + 8 * i, true))))
    return fields
  }
  return null
}

async function dataStart(file: FileHandle, { name, header }: Listed, fail: Fail): Promise<number> {
  const view = viewOf(await bytesAt(file, header, 30))
  if (view.byteLength < 30 || view.getUint32(0, true) !== ENTRY)
    throw fail(`the entry ${name} does not begin where the directory says`, header)
  const own = await bytesAt(file, header + 30, view.getUint16(26, true))
  if (new TextDecoder().decode(own) !== name) throw fail(`the entry ${name} has another name in its own header`, name, 'one name')
  return header + 30 + own.length + view.getUint16(28, true)
}

/** Entries are never written to disk; names that would leave a folder are refused for those who would. */
function checkName(bytes: Uint8Array, fail: Fail): string {
  let name: string
  try {
    name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw fail("an entry's name is not UTF-8")
  }
  const parts = name.split('/')
  if (name.length > LONGEST_NAME || name === '' || /[\0\\:]/.test(name) || parts.includes('..') || parts[0] === '') {
    throw fail(`an entry is called ${JSON.stringify(name.slice(0, 80))}`, name.slice(0, 80), 'a plain relative name')
  }
  return name
}

/** Fewer bytes than asked for at the end of the file. */
async function bytesAt(file: FileHandle, at: number, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size)
  return bytes.subarray(0, await readAll(file, bytes, at))
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Larger than any file where it cannot be counted exactly. */
function safe(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value)
}
