/** Row groups of parquet files, decoded by a thread of their own and kept as long as the window that is being shuffled wants them. */
import { Worker } from 'node:worker_threads'
import type { FedSample } from '../native.js'
import { reasonOf } from './feed.js'
import type { SampleReader } from './feed.js'

/** Samples are shuffled among so many bytes of row groups. */
export const parquetWindowBytes = 128 * 2 ** 20

export interface RowGroup {
  path: string
  /** The file as it was when it was opened. */
  size: number
  modifiedMs: number
  /** Number of the group in its file, and its rows there. */
  number: number
  begin: number
  end: number
  column: string
  /** Of the pictures, decompressed. */
  bytes: number
  /** Sample of the data set that its first row is. */
  first: number
}

export type GroupRequest = Pick<RowGroup, 'path' | 'size' | 'modifiedMs' | 'begin' | 'end' | 'column'>

/** The pictures of a group, one after the other; where there is none, nothing. */
export type GroupImages = { bytes: Uint8Array; ends: Float64Array; paths: string[] } | { fault: string }

/** Reads for one loader. At most two windows and two groups are held; what was used least recently goes first. */
export function parquetReader(groups: readonly RowGroup[], labels: Int32Array): SampleReader {
  const thread = decoderThread()
  const held = new Map<RowGroup, Promise<GroupImages>>()
  const largest = groups.reduce((most, { bytes }) => Math.max(most, bytes), 0)
  const capacity = 2 * parquetWindowBytes + 2 * largest
  const group = (wanted: RowGroup): Promise<GroupImages> => {
    const images = held.get(wanted) ?? thread.decode(wanted)
    held.delete(wanted)
    held.set(wanted, images)
    let sum = 0
    for (const { bytes } of held.keys()) sum += bytes
    for (const oldest of held.keys()) {
      if (sum <= capacity || oldest === wanted) break
      sum -= oldest.bytes
      held.delete(oldest)
    }
    return images
  }
  return {
    read: async (index) => {
      const wanted = groupOf(groups, index)
      const row = index - wanted.first
      const where = `${wanted.path}: row ${wanted.begin + row}`
      const images = await group(wanted)
      if ('fault' in images) return { path: where, fault: `row group ${wanted.number} cannot be read: ${images.fault}` }
      return sampleOf(images, row, where, labels[index]!)
    },
    readAhead: (chunk) => void group(groups[chunk]!),
    close: thread.close,
  }
}

function sampleOf({ bytes, ends, paths }: Exclude<GroupImages, { fault: string }>, row: number, where: string, label: number): FedSample {
  const path = paths[row] === '' ? where : `${where} (${paths[row]!})`
  const data = bytes.subarray(row === 0 ? 0 : ends[row - 1], ends[row])
  return data.length === 0 ? { path, fault: 'the row holds no picture' } : { path, data, label }
}

function groupOf(groups: readonly RowGroup[], index: number): RowGroup {
  let [low, high] = [0, groups.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (groups[middle]!.first <= index) low = middle
    else high = middle - 1
  }
  return groups[low]!
}

/** One request at a time, in order. A thread that dies answers with a fault, and so does everything after it. */
function decoderThread() {
  const worker = new Worker(new URL('./parquet-worker.js', import.meta.url), { execArgv: [] })
  worker.unref()
  let settle: ((images: GroupImages) => void) | null = null
  let dead: string | null = null
  let last: Promise<unknown> = Promise.resolve()
  const answer = (images: GroupImages) => {
    settle?.(images)
    settle = null
  }
  const die = (reason: string) => {
    dead ??= reason
    answer({ fault: dead })
  }
  worker.on('message', answer)
  worker.on('error', (error) => die(reasonOf(error)))
  worker.on('exit', () => die('the decoding thread has ended'))
  const ask = ({ path, size, modifiedMs, begin, end, column }: RowGroup): Promise<GroupImages> => {
    if (dead !== null) return Promise.resolve({ fault: dead })
    return new Promise((resolve) => {
      settle = resolve
      worker.postMessage({ path, size, modifiedMs, begin, end, column } satisfies GroupRequest)
    })
  }
  return {
    decode: (group: RowGroup): Promise<GroupImages> => {
      const images = last.then(() => ask(group))
      last = images
      return images
    },
    close: () => {
      die('the loader has ended')
      void worker.terminate()
    },
  }
}
