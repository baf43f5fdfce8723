/**
 * Weights that PyTorch saved (`torch.save`, the zip format of version 1.6 and later): a pickle that names tensors and an entry of raw numbers
 * for each storage. The pickle is read as data (pickle.ts), so nothing in the file runs.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { dtypeBits, viewOf } from './dtype.js'
import type { SafeTensor, TensorData } from './dtype.js'
import { isA, unpickle } from './pickle.js'
import type { Pickled, PickledTensor } from './pickle.js'
import { formatError } from './safetensors-header.js'
import { readZipDirectory, readZipEntry, type ZipEntry } from './zip.js'

/** Where training scripts put the state dictionary inside what they save. */
const WRAPPERS = ['state_dict', 'model_state_dict', 'model', 'module', 'net']
const LARGEST_PICKLE = 1 << 24
const LONGEST_NAME = 1024
/** Tensors may share storages; what they hold together may be this many times the file. */
const MOST_SHARING = 4
/** Numbers gathered between two turns of the event loop. */
const SLICE = 1 << 20

/** Tensors by name, in the file's order. Throws ERR_SKNET_FORMAT naming the tensor, the archive's entry or what the pickle asked for. */
export async function readTorchFile(path: string): Promise<Map<string, SafeTensor>> {
  const file = await open(path, 'r')
  try {
    const entries = await readZipDirectory(file, path)
    const prefix = archivePrefix(entries, path)
    await checkByteOrder(file, entries.get(`${prefix}byteorder`), path)
    const pickle = entries.get(`${prefix}data.pkl`)!
    if (pickle.size > LARGEST_PICKLE) {
      throw formatError(path, `${pickle.name} is ${pickle.size} bytes`, { got: pickle.size, expected: `at most ${LARGEST_PICKLE} bytes` })
    }
    const root = await unpickle(await readZipEntry(file, pickle, path), path)
    const tensors = stateDictionary(root, path)
    checkTotal(tensors, (await file.stat()).size, path)
    return await readTensors(file, entries, `${prefix}data/`, tensors, path)
  } finally {
    await file.close()
  }
}

/** The folder in the archive that everything is in, named after the file it was first saved to. */
function archivePrefix(entries: ReadonlyMap<string, ZipEntry>, path: string): string {
  const names = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name))
  if (names.length !== 1) {
    throw formatError(path, 'the zip archive holds no data.pkl, so torch.save did not write it', {
      got: names.length,
      expected: 'one data.pkl in one folder',
    })
  }
  const prefix = names[0]!.slice(0, -'data.pkl'.length)
  if (entries.has(`${prefix}constants.pkl`)) {
    throw formatError(path, 'this is a TorchScript program, not weights', {
      got: `${prefix}constants.pkl`,
      expected: 'a state dictionary',
      hint: 'In Python, save the weights alone: torch.save(torch.jit.load(path).state_dict(), path)',
    })
  }
  return prefix
}

async function checkByteOrder(file: FileHandle, entry: ZipEntry | undefined, path: string): Promise<void> {
  if (entry === undefined) return
  const order = entry.size > 16 ? 'too long' : new TextDecoder().decode(await readZipEntry(file, entry, path))
  if (order !== 'little') throw formatError(path, `${entry.name} says ${JSON.stringify(order)}`, { got: order, expected: 'little' })
}

/** The tensors of the state dictionary: of the value itself, or of the first of its usual places. */
function stateDictionary(root: Pickled, path: string): Map<string, PickledTensor> {
  let value = root
  for (const name of WRAPPERS) {
    const inner = value instanceof Map ? value.get(name) : undefined
    if (inner instanceof Map && !tensorsOf(value).size) {
      value = inner
      break
    }
  }
  const tensors = tensorsOf(value)
  if (tensors.size === 0) {
    const keys = root instanceof Map ? [...root.keys()].filter((key) => typeof key === 'string').slice(0, 8) : []
    throw formatError(path, `there are no tensors in it${keys.length > 0 ? ` (it holds ${keys.join(', ')})` : ''}`, {
      got: keys,
      expected: `a state dictionary, or one under ${WRAPPERS.join(', ')}`,
    })
  }
  for (const name of tensors.keys()) {
    if (name !== '' && name.length <= LONGEST_NAME && !name.includes('\0') && name !== '__proto__') continue
    throw formatError(path, `a tensor is called ${JSON.stringify(name.slice(0, 80))}`, { got: name.slice(0, 80), expected: 'a plain name' })
  }
  return tensors
}

/** Numbers and text beside the tensors, such as an epoch, are passed over. */
function tensorsOf(value: Pickled): Map<string, PickledTensor> {
  const tensors = new Map<string, PickledTensor>()
  if (!(value instanceof Map)) return tensors
  for (const [name, item] of value) if (typeof name === 'string' && isA(item, 'tensor')) tensors.set(name, item)
  return tensors
}

/** Proves each tensor to lie in its storage, and all of them to be no more than the file can hold. */
function checkTotal(tensors: ReadonlyMap<string, PickledTensor>, fileSize: number, path: string): void {
  let total = 0
  for (const [name, { storage, offset, shape, strides }] of tensors) {
    const fail = (what: string, got: unknown, expected: string) => formatError(path, `${name}: ${what}`, { tensor: name, got, expected })
    const elements = shape.reduce((product, side) => product * side, 1)
    // Sides and strides are whole numbers below 2^53; what overflows is Infinity or at least larger than the storage.
    const last = elements === 0 ? 0 : shape.reduce((sum, side, i) => sum + (side - 1) * strides[i]!, offset) + 1
    if (!(elements <= storage.length && last <= storage.length)) {
      const layout = `the shape ${shape.join('x')} with strides ${strides.join(', ')} from ${offset}`
      throw fail(`${layout} passes its storage of ${storage.length} numbers`, shape, 'a tensor inside its storage')
    }
    total += (elements * dtypeBits(storage.dtype)) / 8
  }
  if (total > MOST_SHARING * fileSize) {
    throw formatError(path, `its tensors would be ${total} bytes, out of a file of ${fileSize}`, {
      got: total,
      expected: `at most ${MOST_SHARING} times the file`,
    })
  }
}

async function readTensors(
  file: FileHandle,
  entries: ReadonlyMap<string, ZipEntry>,
  folder: string,
  tensors: ReadonlyMap<string, PickledTensor>,
  path: string,
): Promise<Map<string, SafeTensor>> {
  const result = new Map<string, SafeTensor>()
  let last: { name: string; bytes: Uint8Array<ArrayBuffer> } = { name: '', bytes: new Uint8Array(0) }
  // Tensors of one storage come one after the other here, so that each is read once and only one is kept.
  const byStorage = [...tensors].sort(([, a], [, b]) => (a.storage.key < b.storage.key ? -1 : a.storage.key > b.storage.key ? 1 : 0))
  for (const [name, tensor] of byStorage) {
    const { storage } = tensor
    const entry = entries.get(folder + storage.key)
    const bytes = (storage.length * dtypeBits(storage.dtype)) / 8
    if (entry?.size !== bytes) {
      const got = entry === undefined ? 'missing' : `${entry.size} bytes`
      throw formatError(path, `${name}: its numbers ${folder}${storage.key} are ${got}`, { tensor: name, got, expected: `${bytes} bytes` })
    }
    if (last.name !== entry.name) last = { name: entry.name, bytes: await readZipEntry(file, entry, path) }
    result.set(name, {
      dtype: storage.dtype,
      shape: [...tensor.shape],
      data: await gather(tensor, viewOf(storage.dtype, last.bytes.buffer)),
    })
  }
  return new Map([...tensors.keys()].map((name) => [name, result.get(name)!]))
}

/** The tensor's numbers in row-major order, in an array of their own. */
async function gather({ offset, shape, strides }: PickledTensor, numbers: TensorData): Promise<TensorData> {
  const elements = shape.reduce((product, side) => product * side, 1)
  if (elements === 0 || isContiguous(shape, strides)) return numbers.slice(offset, offset + elements)
  const result = numbers.slice(0, elements)
  const index = shape.map(() => 0)
  let from = offset
  for (let to = 0; to < elements; to++) {
    if (to % SLICE === SLICE - 1) await setImmediate()
    result[to] = numbers[from]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!
      if (++index[axis]! < shape[axis]!) break
      from -= shape[axis]! * strides[axis]!
      index[axis] = 0
    }
  }
  return result
}

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let step = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== step) return false
    step *= shape[axis]!
  }
  return true
}
