/** Tar archives byte by byte, to be right or wrong as a test needs them. */

export interface TarItem {
  name: string
  data?: Uint8Array | string
  /** '0' unless given. */
  type?: string
  /** Header fields to be other than right. */
  size?: string
  checksum?: string
  prefix?: string
  magic?: string
}

const block = 512

export function makeTar(items: readonly TarItem[], options: { end?: number } = {}): Buffer {
  const parts = items.flatMap((item) => {
    const data = Buffer.from(item.data ?? '')
    return [header(item, data.length), data, Buffer.alloc((block - (data.length % block)) % block)]
  })
  return Buffer.concat([...parts, Buffer.alloc((options.end ?? 2) * block)])
}

/** A pax header entry holding `records`. */
export function pax(records: Record<string, string>, type: 'x' | 'g' = 'x'): TarItem {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`)
    let length = rest + String(rest).length
    if (String(length).length !== String(rest).length) length = rest + String(length).length
    return `${length} ${key}=${value}\n`
  })
  return { name: 'pax_header', type, data: lines.join('') }
}

/** GNU's entry with the long name of the one that follows. */
export function longName(name: string): TarItem {
  return { name: '././@LongLink', type: 'L', data: `${name}\0`, magic: 'ustar  \0' }
}

/** A sample in the WebDataset convention. */
export function sample(key: string, extension: string, image: Uint8Array, label: number | string): TarItem[] {
  return [
    { name: `${key}.${extension}`, data: image },
    { name: `${key}.cls`, data: String(label) },
  ]
}

function header(item: TarItem, size: number): Buffer {
  const out = Buffer.alloc(block)
  out.write(item.name.slice(0, 100), 0)
  out.write('0000644\0', 100)
  out.write('0001750\0', 108)
  out.write('0001750\0', 116)
  out.write(item.size ?? `${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  out.write('14000000000\0', 136)
  out.write('        ', 148)
  out.write(item.type ?? '0', 156)
  out.write(item.magic ?? 'ustar\x0000', 257)
  out.write(item.prefix ?? '', 345)
  const sum = out.reduce((a, b) => a + b, 0)
  out.write(item.checksum ?? `${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return out
}
