/**
 * The header of a safetensors file: a JSON object of tensors and text metadata. Parsed here by hand, because JSON.parse keeps the last of two
 * equal keys, rounds large numbers, and takes any depth. The grammar is the header's own, so nothing recurses.
 */
import { setImmediate } from 'node:timers/promises'
import { dtypeBits, dtypeNames, isDtype } from './dtype.js'
import type { DtypeName } from './dtype.js'
import { SknetError } from '../errors.js'
import type { SknetErrorDetails } from '../errors.js'

export interface TensorEntry {
  name: string
  dtype: DtypeName
  shape: number[]
  /** Bytes of the data, counted from the end of the header. */
  begin: number
  end: number
}

export interface Header {
  metadata: Map<string, string>
  /** In the order of their data. */
  tensors: TensorEntry[]
}

/** The format's own limit. */
export const LARGEST_HEADER = 100_000_000
const LONGEST_NAME = 1024
const LARGEST_RANK = 8
/** Entries parsed between two turns of the event loop. */
const SLICE = 500

export function formatError(file: string | undefined, message: string, details: SknetErrorDetails = {}): SknetError {
  const where = file ?? 'safetensors data'
  const expected = details.expected === undefined || message.includes('expected') ? '' : `; expected ${details.expected}`
  return new SknetError('ERR_SKNET_FORMAT', `${where}: ${message}${expected}`, {
    ...(file === undefined ? {} : { path: file }),
    ...details,
  })
}

/** Checks the header's length field against the size of the file; returns the bytes of the header. */
export function headerSize(first8: Uint8Array, fileSize: number, file?: string): number {
  const expected = `a header of 2 to ${LARGEST_HEADER} bytes inside the file`
  if (first8.length < 8) {
    throw formatError(file, `${fileSize} bytes are no safetensors file`, { got: fileSize, expected: 'at least 8 bytes' })
  }
  const size = new DataView(first8.buffer, first8.byteOffset).getBigUint64(0, true)
  if (size > BigInt(LARGEST_HEADER)) throw formatError(file, `the header would be ${size} bytes`, { got: String(size), expected })
  const header = Number(size)
  if (header < 2) throw formatError(file, `the header is ${header} bytes`, { got: header, expected })
  if (header > fileSize - 8) throw formatError(file, `the header of ${header} bytes passes the end of the file`, { got: header, expected })
  return header
}

/** Parses the header and proves that the tensors fill `dataBytes` without gap or overlap. Throws ERR_SKNET_FORMAT. */
export async function parseHeader(bytes: Uint8Array, dataBytes: number, file?: string): Promise<Header> {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw formatError(file, 'the header is not UTF-8', { expected: 'UTF-8 text', cause })
  }
  const scanner = new Scanner(text, file)
  const metadata = new Map<string, string>()
  const tensors: TensorEntry[] = []
  let count = 0
  for (const name of scanner.keys('the header')) {
    if (name === '__metadata__') readMetadata(scanner, metadata)
    else tensors.push(readTensor(scanner, name, dataBytes, file))
    if (++count % SLICE === 0) await setImmediate()
  }
  scanner.end()
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end)
  let at = 0
  for (const { name, begin, end } of tensors) {
    if (begin !== at) {
      const what = begin < at ? 'overlaps the tensor before it' : 'leaves a gap before it'
      throw formatError(file, `${name} ${what}`, { tensor: name, got: [begin, end], expected: `data_offsets that start at ${at}` })
    }
    at = end
  }
  if (at !== dataBytes) {
    throw formatError(file, `the tensors hold ${at} bytes and the file has ${dataBytes}`, {
      got: dataBytes,
      expected: `${at} bytes of data`,
    })
  }
  return { metadata, tensors }
}

function readMetadata(scanner: Scanner, metadata: Map<string, string>): void {
  for (const key of scanner.keys('__metadata__')) metadata.set(key, scanner.string('a text', '__metadata__'))
}

function readTensor(scanner: Scanner, name: string, dataBytes: number, file?: string): TensorEntry {
  checkName(name, file)
  let dtype: string | undefined
  let shape: number[] | undefined
  let offsets: number[] | undefined
  for (const field of scanner.keys(name)) {
    if (field === 'dtype') dtype = scanner.string('the name of a type', name)
    else if (field === 'shape') shape = scanner.integers(name, LARGEST_RANK)
    else if (field === 'data_offsets') offsets = scanner.integers(name, 2)
    else {
      throw formatError(file, `${short(name)} has an unknown field`, {
        tensor: short(name),
        got: short(field),
        expected: 'dtype, shape and data_offsets',
      })
    }
  }
  const fail = (what: string, got: unknown, expected: string) => formatError(file, `${name}: ${what}`, { tensor: name, got, expected })
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    throw fail('a field is missing', undefined, 'dtype, shape and data_offsets')
  }
  if (!isDtype(dtype)) throw fail(`unknown dtype ${short(dtype)}`, short(dtype), `one of ${dtypeNames().join(', ')}`)
  const [begin, end] = offsets
  if (begin === undefined || end === undefined || begin > end || end > dataBytes) {
    throw fail(`data_offsets ${offsets.join(', ')}`, offsets, `two offsets in order, up to ${dataBytes}`)
  }
  // Zeros count as one here, so that a huge side beside them is refused too.
  const bits = shape.reduce((product, side) => product * BigInt(Math.max(side, 1)), BigInt(dtypeBits(dtype)))
  if (bits > BigInt(Number.MAX_SAFE_INTEGER)) throw fail(`its shape ${shape.join('x')} is too large`, shape, 'a size that can be addressed')
  const size = shape.includes(0) ? 0 : Number(bits)
  if (size % 8 !== 0) throw fail(`${size} bits are no whole bytes`, size, 'whole bytes')
  if (size / 8 !== end - begin) {
    throw fail(`${dtype} ${shape.join('x')} takes ${size / 8} bytes and has ${end - begin}`, end - begin, `${size / 8} bytes`)
  }
  return { name, dtype, shape, begin, end }
}

/** Names never become paths or object keys here; these are refused for those who would make them so. */
function checkName(name: string, file?: string): void {
  const bad =
    name === ''
      ? 'is empty'
      : name.length > LONGEST_NAME
        ? 'is too long'
        : name.includes('\0')
          ? 'holds a NUL'
          : name === '__proto__' || name.split(/[/\\]/).includes('..')
            ? 'is reserved'
            : null
  if (bad === null) return
  throw formatError(file, `a tensor's name ${bad}: ${JSON.stringify(short(name))}`, {
    got: short(name),
    expected: `a name of 1 to ${LONGEST_NAME} characters`,
  })
}

function short(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** Reads JSON token by token. */
class Scanner {
  #at = 0
  readonly #text: string
  readonly #file: string | undefined

  constructor(text: string, file: string | undefined) {
    this.#text = text
    this.#file = file
  }

  /** The keys of an object, in order; the caller reads each value before it asks for the next key. */
  *keys(owner: string): Generator<string> {
    this.#expect('{', owner)
    const seen = new Set<string>()
    if (this.#take('}')) return
    do {
      const key = this.string('a key', owner)
      if (seen.has(key)) {
        throw formatError(this.#file, `${short(owner)} has ${JSON.stringify(short(key))} twice`, {
          tensor: short(owner),
          got: short(key),
          expected: 'keys that occur once',
        })
      }
      seen.add(key)
      this.#expect(':', owner)
      yield key
    } while (this.#take(','))
    this.#expect('}', owner)
  }

  /** An array of whole numbers from 0 to 2^53 - 1, at most `most` of them. */
  integers(owner: string, most: number): number[] {
    this.#expect('[', owner)
    const result: number[] = []
    if (this.#take(']')) return result
    do {
      if (result.length === most) {
        throw formatError(this.#file, `${short(owner)} lists more than ${most} numbers`, {
          tensor: short(owner),
          expected: `at most ${most} numbers`,
        })
      }
      result.push(this.#integer(owner))
    } while (this.#take(','))
    this.#expect(']', owner)
    return result
  }

  string(what: string, owner: string): string {
    this.#skipSpace()
    if (this.#text[this.#at] !== '"') throw this.#unexpected(what, owner)
    const end = this.#closingQuote(owner)
    const raw = this.#text.slice(this.#at + 1, end)
    this.#at = end + 1
    const value = raw.includes('\\') ? unescape(raw) : raw
    if (value === null || /\p{Surrogate}/u.test(value)) throw this.#unexpected(`${what} without bad escapes`, owner)
    return value
  }

  end(): void {
    this.#skipSpace()
    if (this.#at < this.#text.length) throw this.#unexpected('the end of the header', 'the header')
  }

  #closingQuote(owner: string): number {
    for (let i = this.#at + 1; i < this.#text.length; i++) {
      const code = this.#text.charCodeAt(i)
      if (code === 0x22) return i
      if (code === 0x5c) i++
      else if (code < 0x20) {
        this.#at = i
        throw this.#unexpected('text without control characters', owner)
      }
    }
    this.#at = this.#text.length
    throw this.#unexpected('a closing quote', owner)
  }

  #integer(owner: string): number {
    this.#skipSpace()
    const number = /(?:0|[1-9]\d{0,19})(?![\d.eE])/y
    number.lastIndex = this.#at
    const match = number.exec(this.#text)
    if (match === null) throw this.#unexpected('a whole number without sign, fraction or exponent', owner)
    const value = Number(match[0])
    if (!Number.isSafeInteger(value)) {
      throw formatError(this.#file, `${short(owner)}: ${match[0]} is too large`, {
        tensor: short(owner),
        got: match[0],
        expected: 'at most 2^53 - 1',
      })
    }
    this.#at = number.lastIndex
    return value
  }

  #take(character: string): boolean {
    this.#skipSpace()
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #expect(character: string, owner: string): void {
    if (!this.#take(character)) throw this.#unexpected(`'${character}'`, owner)
  }

  #skipSpace(): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
    }
  }

  #unexpected(expected: string, owner: string): SknetError {
    const got = this.#at < this.#text.length ? this.#text.slice(this.#at, this.#at + 12) : 'the end'
    const details = { got, expected, ...(owner === 'the header' ? {} : { tensor: short(owner) }) }
    return formatError(this.#file, `bad header at character ${this.#at}: ${JSON.stringify(got)}; expected ${expected}`, details)
  }
}

const escapes: Record<string, string> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/** The text behind JSON's escapes, or null where one is none of JSON's. */
function unescape(raw: string): string | null {
  let bad = false
  const value = raw.replace(/\\(?:u([0-9a-fA-F]{4})|([^]))/g, (_, hex: string | undefined, plain: string | undefined) => {
    if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16))
    const known = escapes[plain ?? '']
    if (known === undefined) bad = true
    return known ?? ''
  })
  return bad ? null : value
}
