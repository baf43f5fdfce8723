/**
 * A pickle as PyTorch's state dictionaries need it, read as data: nothing in it can run. The machine knows containers, numbers, text and the few
 * names on the list below, each with a meaning fixed here; any other name, and every opcode that would call or build something else, is refused.
 */
import { setImmediate } from 'node:timers/promises'
import type { SknetErrorDetails } from '../errors.js'
import { formatError } from './safetensors-header.js'
import type { DtypeName } from './dtype.js'

/** Numbers of one type in an entry of the archive. */
export interface Storage {
  is: 'storage'
  dtype: DtypeName
  key: string
  /** How many. */
  length: number
}

/** A view of a storage; offset and strides count numbers. */
export interface PickledTensor {
  is: 'tensor'
  storage: Storage
  offset: number
  shape: number[]
  strides: number[]
}

/** Something harmless that has no meaning here, such as a dtype or a device. */
interface Opaque {
  is: 'opaque'
  name: string
}

/** One of the names a file may use. */
interface Global {
  is: 'global'
  name: string
  makes: 'dict' | 'tensor' | 'parameter' | 'sequence' | 'opaque' | 'storage'
  /** Of a storage's type. */
  dtype?: DtypeName
}

type Special = Storage | PickledTensor | Opaque | Global

export type Pickled = null | boolean | number | bigint | string | Uint8Array | Pickled[] | Map<Pickled, Pickled> | Special

const storageTypes: Record<string, DtypeName> = {
  FloatStorage: 'F32',
  DoubleStorage: 'F64',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
}
const dtypes = ['float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool']

/** The whole list of names that a file may use. */
const globals = new Map<string, Global>(
  [
    global('collections.OrderedDict', 'dict'),
    global('torch._utils._rebuild_tensor_v2', 'tensor'),
    global('torch._utils._rebuild_parameter', 'parameter'),
    global('torch.Size', 'sequence'),
    global('torch.device', 'opaque'),
    ...dtypes.map((type) => global(`torch.${type}`, 'opaque')),
    ...Object.entries(storageTypes).map(([type, dtype]) => ({ ...global(`torch.${type}`, 'storage'), dtype })),
  ].map((known) => [known.name, known]),
)

const LARGEST_RANK = 8
/** Deeper than any state dictionary. */
const MOST_MARKS = 1000
/** Opcodes done between two turns of the event loop. */
const SLICE = 50_000

/** The value of a pickle. Throws ERR_SKNET_FORMAT naming what is not allowed. */
export function unpickle(bytes: Uint8Array, path: string): Promise<Pickled> {
  return new Machine(bytes, path).run()
}

class Machine {
  #at = 0
  /** Items copied into dictionaries; the same list could be copied any number of times. */
  #copied = 0
  #stack: Pickled[] = []
  readonly #marks: Pickled[][] = []
  readonly #memo = new Map<number, Pickled>()
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #path: string

  constructor(bytes: Uint8Array, path: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#path = path
  }

  async run(): Promise<Pickled> {
    for (let count = 1; ; count++) {
      if (count % SLICE === 0) await setImmediate()
      const code = this.#bytes[this.#skip(1)]!
      if (code === STOP) break
      const step = steps[code]
      if (step === undefined) {
        const shown = `0x${code.toString(16).padStart(2, '0')}`
        throw this.fail(`the pickle uses the opcode ${shown} at byte ${this.#at - 1}, which state dictionaries do not need`, shown)
      }
      step(this)
    }
    if (this.#marks.length > 0 || this.#stack.length !== 1) throw this.fail('the pickle does not end with one value')
    return this.pop()
  }

  fail(message: string, got?: unknown, details: SknetErrorDetails = {}): Error {
    return formatError(this.#path, message, { got, expected: "a state dictionary's pickle", ...details })
  }

  push(value: Pickled): void {
    this.#stack.push(value)
  }

  pop(): Pickled {
    const value = this.#stack.pop()
    if (value === undefined) throw this.fail('the pickle takes a value where there is none')
    return value
  }

  top(): Pickled {
    const value = this.#stack.at(-1)
    if (value === undefined) throw this.fail('the pickle takes a value where there is none')
    return value
  }

  mark(): void {
    if (this.#marks.length >= MOST_MARKS) throw this.fail(`the pickle nests deeper than ${MOST_MARKS}`)
    this.#marks.push(this.#stack)
    this.#stack = []
  }

  /** What was pushed since the last mark. */
  sinceMark(): Pickled[] {
    const items = this.#stack
    const below = this.#marks.pop()
    if (below === undefined) throw this.fail('the pickle ends a group that did not begin')
    this.#stack = below
    return items
  }

  remember(index: number): void {
    this.#memo.set(index, this.top())
  }

  rememberNext(): void {
    this.#memo.set(this.#memo.size, this.top())
  }

  recall(index: number): void {
    const value = this.#memo.get(index)
    if (value === undefined) throw this.fail(`the pickle recalls ${index}, which it did not store`)
    this.push(value)
  }

  uint(size: 1 | 2 | 4): number {
    const at = this.#skip(size)
    return size === 1 ? this.#view.getUint8(at) : size === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true)
  }

  int32(): number {
    return this.#view.getInt32(this.#skip(4), true)
  }

  float64(): number {
    return this.#view.getFloat64(this.#skip(8), false)
  }

  /** A length of 8 bytes, at most what is left. */
  length64(): number {
    const value = this.#view.getBigUint64(this.#skip(8), true)
    return value > BigInt(this.#bytes.length) ? Infinity : Number(value)
  }

  bytes(size: number): Uint8Array {
    const at = this.#skip(size)
    return this.#bytes.subarray(at, at + size)
  }

  text(size: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.bytes(size))
    } catch (cause) {
      if (cause instanceof TypeError) throw this.fail('a text of the pickle is not UTF-8')
      throw cause
    }
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at)
    if (end < 0) throw this.fail('the pickle is cut short')
    const text = this.text(end - this.#at)
    this.#at++
    return text
  }

  /** Whole numbers of 8 bytes at most; Python's can be of any size. */
  long(size: number): number | bigint {
    if (size > 8) throw this.fail(`the pickle holds a whole number of ${size} bytes`, size)
    const value = this.bytes(size).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    const signed = BigInt.asIntN(size * 8, value)
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed
  }

  global(module: string, member: string): void {
    const name = `${module}.${member}`
    const known = globals.get(name)
    if (known === undefined) {
      const shown = name.length > 200 ? `${name.slice(0, 197)}...` : name
      throw this.fail(`the pickle asks for ${shown}, which is not allowed; nothing of it was run`, shown, {
        expected: 'tensors, numbers, text and containers of them',
        hint: "In Python, save the weights alone: torch.save(model.state_dict(), 'weights.pth')",
      })
    }
    this.push(known)
  }

  setItems(items: Pickled[]): void {
    const target = this.top()
    if (!(target instanceof Map) || items.length % 2 !== 0) throw this.fail('the pickle sets items of something that is no dictionary')
    for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!)
  }

  append(items: Pickled[]): void {
    const target = this.top()
    if (!Array.isArray(target)) throw this.fail('the pickle appends to something that is no list')
    for (const item of items) target.push(item)
  }

  /** Attributes, such as a state dictionary's _metadata, mean nothing here. */
  build(): void {
    this.pop()
    if (!(this.top() instanceof Map)) throw this.fail('the pickle sets attributes of something that is no dictionary')
  }

  /** The only calls there are: those of the list above. */
  reduce(): void {
    const args = this.pop()
    const callable = this.pop()
    if (!isA(callable, 'global') || !Array.isArray(args)) throw this.fail('the pickle calls something that cannot be called')
    this.push(this.#called(callable, args))
  }

  /** ('storage', type, key, location, length) */
  persistent(): void {
    const id = this.pop()
    const [word, type, key, , length] = Array.isArray(id) ? id : []
    if (word !== 'storage' || !isA(type, 'global') || type.dtype === undefined || typeof key !== 'string' || !isCount(length)) {
      throw this.fail('the pickle refers to something that is no storage of numbers')
    }
    this.push({ is: 'storage', dtype: type.dtype, key, length })
  }

  #called(callable: Global, args: Pickled[]): Pickled {
    switch (callable.makes) {
      case 'dict': {
        const pairs = args.length === 0 ? [] : args[0]
        if (!Array.isArray(pairs) || args.length > 1) break
        this.#copied += pairs.length
        if (this.#copied > this.#bytes.length) throw this.fail('the pickle copies the same items again and again')
        const entries = pairs.filter((pair): pair is [Pickled, Pickled] => Array.isArray(pair) && pair.length === 2)
        if (entries.length === pairs.length) return new Map(entries)
        break
      }
      case 'tensor': {
        const [storage, offset, shape, strides] = args
        if (!isA(storage, 'storage') || !isCount(offset) || !isCounts(shape) || !isCounts(strides)) break
        if (shape.length !== strides.length || shape.length > LARGEST_RANK) break
        return { is: 'tensor', storage, offset, shape, strides }
      }
      case 'parameter':
        if (isA(args[0], 'tensor')) return args[0]
        break
      case 'sequence':
        if (Array.isArray(args[0])) return args[0]
        break
      case 'opaque':
        if (args.every((arg) => typeof arg === 'string' || typeof arg === 'number')) return { is: 'opaque', name: callable.name }
        break
      case 'storage':
        break
    }
    throw this.fail(`the pickle calls ${callable.name} with arguments it does not take`, callable.name)
  }

  #skip(size: number): number {
    const at = this.#at
    if (!(at + size <= this.#bytes.length)) throw this.fail('the pickle is cut short', this.#bytes.length)
    this.#at += size
    return at
  }
}

const STOP = 0x2e

/** What each opcode does (Python's pickletools has the list); what is absent is refused. */
const steps: Partial<Record<number, (m: Machine) => void>> = {
  // Framing, constants.
  0x80: (m) => {
    const protocol = m.uint(1)
    if (protocol > 5) throw m.fail(`the pickle is of protocol ${protocol}`, protocol, { expected: 'protocol 2 to 5' })
  },
  0x95: (m) => void m.length64(),
  0x4e: (m) => m.push(null),
  0x88: (m) => m.push(true),
  0x89: (m) => m.push(false),
  0x4b: (m) => m.push(m.uint(1)),
  0x4d: (m) => m.push(m.uint(2)),
  0x4a: (m) => m.push(m.int32()),
  0x8a: (m) => m.push(m.long(m.uint(1))),
  0x47: (m) => m.push(m.float64()),
  0x58: (m) => m.push(m.text(m.uint(4))),
  0x8c: (m) => m.push(m.text(m.uint(1))),
  0x8d: (m) => m.push(m.text(m.length64())),
  0x42: (m) => m.push(m.bytes(m.uint(4))),
  0x43: (m) => m.push(m.bytes(m.uint(1))),
  // Containers.
  0x28: (m) => m.mark(),
  0x30: (m) => void m.pop(),
  0x31: (m) => void m.sinceMark(),
  0x29: (m) => m.push([]),
  0x5d: (m) => m.push([]),
  0x7d: (m) => m.push(new Map()),
  0x74: (m) => m.push(m.sinceMark()),
  0x6c: (m) => m.push(m.sinceMark()),
  0x85: (m) => m.push([m.pop()]),
  0x86: (m) => {
    const b = m.pop()
    m.push([m.pop(), b])
  },
  0x87: (m) => {
    const c = m.pop()
    const b = m.pop()
    m.push([m.pop(), b, c])
  },
  0x64: (m) => {
    const items = m.sinceMark()
    m.push(new Map())
    m.setItems(items)
  },
  0x61: (m) => m.append([m.pop()]),
  0x65: (m) => m.append(m.sinceMark()),
  0x73: (m) => {
    const value = m.pop()
    m.setItems([m.pop(), value])
  },
  0x75: (m) => m.setItems(m.sinceMark()),
  // The memo.
  0x71: (m) => m.remember(m.uint(1)),
  0x72: (m) => m.remember(m.uint(4)),
  0x94: (m) => m.rememberNext(),
  0x68: (m) => m.recall(m.uint(1)),
  0x6a: (m) => m.recall(m.uint(4)),
  // Names and calls.
  0x63: (m) => {
    const module = m.line()
    m.global(module, m.line())
  },
  0x93: (m) => {
    const [member, module] = [m.pop(), m.pop()]
    if (typeof module !== 'string' || typeof member !== 'string') throw m.fail('the pickle asks for something without a name')
    m.global(module, member)
  },
  0x52: (m) => m.reduce(),
  0x51: (m) => m.persistent(),
  0x62: (m) => m.build(),
}

/** Whether a value is a storage, a tensor or one of the names. Nothing in a file can make an object that only looks like one. */
export function isA<T extends Special['is']>(value: Pickled | undefined, is: T): value is Extract<Special, { is: T }> {
  return typeof value === 'object' && value !== null && 'is' in value && value.is === is
}

function global(name: string, makes: Global['makes']): Global {
  return { is: 'global', name, makes }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount)
}
