/**
 * A small JPEG writer whose pictures are made of flat 8 x 8 blocks: only DC coefficients, so that a decoder's output is known exactly.
 * Baseline, or progressive with (empty) AC scans.
 */

export interface JpegOptions {
  /** Size in blocks of 8 x 8 pixels. */
  across: number
  down: number
  /** 1 grey, 3 YCbCr (or RGB with adobe 0), 4 CMYK (or YCCK with adobe 2). */
  components: 1 | 3 | 4
  /** Stored level 0..255 of each block: [down, across, components]. */
  levels: ArrayLike<number>
  /** An Adobe APP14 marker with this transform: 0 none, 1 YCbCr, 2 YCCK. */
  adobe?: 0 | 1 | 2
  /** Progressive: the 63 AC coefficients of each component come in this many scans, after one DC scan. */
  acBands?: number
}

export function makeJpeg(options: JpegOptions): Buffer {
  const { across, down, components, adobe, acBands } = options
  const parts: Uint8Array[] = [Buffer.from([0xff, 0xd8])]
  if (adobe !== undefined) parts.push(segment(0xee, [...Buffer.from('Adobe'), 0, 100, 0, 0, 0, 0, adobe]))
  // Quantiser 8 for the DC coefficient: its step is one level.
  parts.push(segment(0xdb, [0, ...new Array<number>(64).fill(8)]))
  const size = [(down * 8) >> 8, (down * 8) & 255, (across * 8) >> 8, (across * 8) & 255]
  const frame = Array.from({ length: components }, (_, c) => [c + 1, 0x11, 0]).flat()
  parts.push(segment(acBands === undefined ? 0xc0 : 0xc2, [8, ...size, components, ...frame]))
  // DC: sizes 0 to 11 with codes of four bits. AC: the code 0 for "rest of the block is zero".
  parts.push(segment(0xc4, [0x00, 0, 0, 0, 12, ...new Array<number>(12).fill(0), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]))
  parts.push(segment(0xc4, [0x10, 1, ...new Array<number>(15).fill(0), 0]))
  const all = Array.from({ length: components }, (_, c) => c)
  const progressive = acBands !== undefined
  parts.push(scanHeader(all, 0, progressive ? 0 : 63), dcScan(options, !progressive))
  for (const component of progressive ? all : []) {
    for (let band = 0; band < acBands!; band++) {
      const first = 1 + Math.floor((band * 63) / acBands!)
      const last = Math.floor(((band + 1) * 63) / acBands!)
      parts.push(scanHeader([component], first, last), packBits('0'.repeat(across * down)))
    }
  }
  parts.push(Buffer.from([0xff, 0xd9]))
  return Buffer.concat(parts)
}

function segment(marker: number, body: number[]): Buffer {
  return Buffer.from([0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255, ...body])
}

function scanHeader(components: number[], first: number, last: number): Buffer {
  return segment(0xda, [components.length, ...components.flatMap((c) => [c + 1, 0x00]), first, last, 0])
}

function dcScan({ across, down, components, levels }: JpegOptions, withAc: boolean): Buffer {
  let bits = ''
  const before = new Array<number>(components).fill(0)
  for (let block = 0; block < across * down; block++) {
    for (let c = 0; c < components; c++) {
      const value = levels[block * components + c]! - 128
      const difference = value - before[c]!
      before[c] = value
      const length = Math.abs(difference).toString(2).length * Math.sign(Math.abs(difference))
      bits += length.toString(2).padStart(4, '0')
      if (length > 0) bits += (difference > 0 ? difference : difference + 2 ** length - 1).toString(2).padStart(length, '0')
      if (withAc) bits += '0'
    }
  }
  return packBits(bits)
}

/** Bits to bytes, filled up with ones, a zero byte after every FF. */
function packBits(bits: string): Buffer {
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1')
  const bytes: number[] = []
  for (let i = 0; i < padded.length; i += 8) {
    const byte = parseInt(padded.slice(i, i + 8), 2)
    bytes.push(byte)
    if (byte === 0xff) bytes.push(0)
  }
  return Buffer.from(bytes)
}
