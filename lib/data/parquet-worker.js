// @ts-check
/**
 * Thread of a parquet reader (parquet-reader.ts): decodes row groups, so that the event loop stays free. Gets one request at a time and answers it; a
 * damaged file is an answer like any other. Plain JavaScript, because tests run the sources and nothing translates a thread's first file.
 */
import { open } from 'node:fs/promises'
import { TextDecoder } from 'node:util'
import { parentPort } from 'node:worker_threads'
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

/** @typedef {import('./parquet-reader.js').GroupRequest} GroupRequest */
/** @typedef {import('./parquet-reader.js').GroupImages} GroupImages */

parentPort?.on('message', (request) => {
  void readGroup(request)
    .catch((error) => ({ fault: error instanceof Error ? error.message : String(error) }))
    .then((answer) => parentPort?.postMessage(answer, 'fault' in answer ? [] : [/** @type {ArrayBuffer} */ (answer.bytes.buffer)]))
})

/**
 * Of the file read last.
 * @type {{ path: string, metadata: import('hyparquet').FileMetaData } | null}
 */
let known = null

/**
 * @param {GroupRequest} request
 * @returns {Promise<GroupImages>}
 */
async function readGroup({ path, size, modifiedMs, begin, end, column }) {
  const handle = await open(path, 'r')
  try {
    const stat = await handle.stat()
    if (stat.size !== size || stat.mtimeMs !== modifiedMs) return { fault: 'the file was changed after the data set was opened' }
    /** @type {import('hyparquet').AsyncBuffer} */
    const file = {
      byteLength: size,
      slice: async (from, to = size) => {
        const buffer = new ArrayBuffer(Math.max(0, Math.min(to, size) - from))
        const { bytesRead } = await handle.read(new Uint8Array(buffer), 0, buffer.byteLength, from)
        if (bytesRead < buffer.byteLength) throw new Error('the file ends early')
        return buffer
      },
    }
    if (known?.path !== path) known = { path, metadata: await parquetMetadataAsync(file) }
    const { metadata } = known
    const rows = await parquetReadObjects({ file, metadata, columns: [column], rowStart: begin, rowEnd: end, utf8: false, compressors })
    if (rows.length !== end - begin) return { fault: `${rows.length} rows where ${end - begin} should be` }
    return joined(rows.map((row) => row[column]))
  } finally {
    await handle.close()
  }
}

/**
 * All pictures in one piece of memory, which goes to the other thread without a copy.
 * @param {unknown[]} values
 * @returns {GroupImages}
 */
function joined(values) {
  const images = values.map(bytesOf)
  const bytes = new Uint8Array(images.reduce((sum, image) => sum + image.length, 0))
  const ends = new Float64Array(images.length)
  let at = 0
  images.forEach((image, i) => {
    bytes.set(image, at)
    at += image.length
    ends[i] = at
  })
  return { bytes, ends, paths: values.map(pathOf) }
}

/**
 * Of a struct with `bytes`, or bytes; empty for anything else.
 * @param {unknown} value
 */
function bytesOf(value) {
  const bytes = typeof value === 'object' && value !== null && 'bytes' in value ? value.bytes : value
  return bytes instanceof Uint8Array ? bytes : new Uint8Array(0)
}

/** @param {unknown} value */
function pathOf(value) {
  const path = typeof value === 'object' && value !== null && 'path' in value ? value.path : ''
  if (path instanceof Uint8Array) return new TextDecoder().decode(path)
  return typeof path === 'string' ? path : ''
}
