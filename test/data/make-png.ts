/** A small PNG writer: every colour type and depth, no filters, no interlacing. */
import { crc32, deflateSync } from 'node:zlib'

export interface PngOptions {
  width: number
  height: number
  /** 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA */
  colorType: 0 | 2 | 3 | 4 | 6
  bitDepth: 1 | 2 | 4 | 8 | 16
  /** One number a sample, row-major, in the range of the depth. */
  samples: ArrayLike<number>
  /** RGB triples, for colour type 3. */
  palette?: number[]
}

export const channelsOf = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 } as const

export function makePng({ width, height, colorType, bitDepth, samples, palette }: PngOptions): Buffer {
  const rowSamples = width * channelsOf[colorType]
  const rowBytes = Math.ceil((rowSamples * bitDepth) / 8)
  const raw = Buffer.alloc(height * (rowBytes + 1))
  for (let y = 0; y < height; y++) {
    for (let i = 0; i < rowSamples; i++) {
      const value = samples[y * rowSamples + i]!
      const at = y * (rowBytes + 1) + 1 + Math.floor((i * bitDepth) / 8)
      if (bitDepth === 16) raw.writeUInt16BE(value, at)
      else raw[at]! |= value << (8 - bitDepth - ((i * bitDepth) % 8))
    }
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header[8] = bitDepth
  header[9] = colorType
  const chunks = [chunk('IHDR', header)]
  if (palette) chunks.push(chunk('PLTE', Buffer.from(palette)))
  chunks.push(chunk('IDAT', deflateSync(raw)), chunk('IEND', Buffer.alloc(0)))
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...chunks])
}

export function rgbPng(width: number, height: number, rgb: ArrayLike<number>): Buffer {
  return makePng({ width, height, colorType: 2, bitDepth: 8, samples: rgb })
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const out = Buffer.alloc(body.length + 8)
  out.writeUInt32BE(data.length, 0)
  body.copy(out, 4)
  out.writeUInt32BE(crc32(body), body.length + 4)
  return out
}
