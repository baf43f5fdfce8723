/** One image, decoded on a native thread. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { badOption, integer, knownKeys, optional } from '../check.js'
import { SknetError } from '../errors.js'
import { awaitNative } from '../native.js'
import type { DecodedImage } from '../native.js'
import { badData, unreadable } from './folder.js'
import { defaultMaxPixels } from './image-folder.js'

export interface DecodeImageOptions {
  /** Larger images are refused before memory is taken for their pixels; default 100 million. */
  maxPixels?: number
}

/**
 * Decodes a JPEG or PNG, told apart by its content, to RGB at full size. Grey is replicated, alpha dropped, 16 bits scaled to 8; EXIF
 * orientation and colour profiles are not applied, as in torchvision. Throws ERR_SKNET_DATA where the file cannot be read and
 * ERR_SKNET_DECODE where it is not an intact image of at most `maxPixels`.
 */
export async function decodeImage(input: string | Uint8Array, options?: DecodeImageOptions): Promise<DecodedImage> {
  const given = knownKeys('', options, ['maxPixels'])
  const maxPixels = optional(given.maxPixels, defaultMaxPixels, (value) => integer('maxPixels', value, { min: 1, max: 2 ** 31 - 1 }))
  if (input instanceof Uint8Array) return awaitNative((binding) => binding.decodeImage(input, { maxPixels }))
  if (typeof input !== 'string' || input === '') badOption('image', input, 'a path, or a Buffer or Uint8Array with the encoded image')
  const data = await readImageFile(input, maxPixels)
  try {
    return await awaitNative((binding) => binding.decodeImage(data, { maxPixels }))
  } catch (cause) {
    if (!(cause instanceof SknetError)) throw cause
    const { got, expected } = cause
    throw new SknetError(cause.code, `${input}: ${cause.message}`, {
      path: input,
      got,
      cause,
      ...(expected === undefined ? {} : { expected }),
    })
  }
}

async function readImageFile(path: string, maxPixels: number): Promise<Buffer> {
  try {
    // Without O_NONBLOCK a FIFO would be waited for.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = await file.stat()
      if (!stat.isFile()) badData(path, stat.isDirectory() ? 'a folder' : 'no regular file', 'a JPEG or PNG file')
      // The native file source has the same limit: 16-bit RGBA, not compressed at all.
      const maxBytes = maxPixels * 8 + 2 ** 20
      if (stat.size > maxBytes) badData(path, `${stat.size} bytes`, `at most ${maxBytes} bytes for ${maxPixels} pixels`)
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw cause instanceof SknetError ? cause : unreadable(path, cause)
  }
}
