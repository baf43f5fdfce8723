import { expect } from 'chai'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSafetensors, readSafetensorsFile, toFloat32, writeSafetensors } from '../../lib/checkpoint/safetensors.js'
import type { SafeTensor } from '../../lib/checkpoint/safetensors.js'
import { temporaryFolder } from '../support/temp.js'
import { rejected } from '../support/thrown.js'

const cases = new URL('../../../shared/data/safetensors-cases/', import.meta.url)

/** A file from the text (or bytes) of its header and a count of data bytes. */
function file(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const json = typeof header === 'string' ? Buffer.from(header) : header
  const bytes = new Uint8Array(8 + json.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true)
  bytes.set(json, 8)
  return bytes
}

function one(fields: string, dataBytes = 4, name = 'a'): Uint8Array {
  return file(`{"${name}":{${fields}}}`, dataBytes)
}

const f32 = '"dtype":"F32","shape":[1],"data_offsets":[0,4]'

describe('the safetensors reader', () => {
  const accepted: [string, Uint8Array, number][] = [
    ['nothing', file('{}'), 0],
    ['white space around', file(' \n\t\r{ } '), 0],
    ['a scalar', one('"dtype":"F32","shape":[],"data_offsets":[0,4]'), 1],
    ['no elements', one('"dtype":"F32","shape":[3,0],"data_offsets":[0,0]', 0), 1],
    ['metadata', file('{"__metadata__":{"a":"b","c":""}}'), 0],
    ['keys in any order', one('"data_offsets":[0,4],"shape":[1],"dtype":"F32"'), 1],
    ['an escaped name', one(f32, 4, '\\u0061\\n'), 1],
    ['a pair of surrogates', one(f32, 4, '\\ud83d\\ude00'), 1],
    ['a name of an object’s member', one(f32, 4, 'constructor'), 1],
    ['the largest rank', one('"dtype":"U8","shape":[1,1,1,1,1,1,1,4],"data_offsets":[0,4]'), 1],
    [
      'an empty tensor between two',
      file(`{"a":{${f32}},"b":{"dtype":"I8","shape":[0],"data_offsets":[4,4]},"c":{"dtype":"I32","shape":[1],"data_offsets":[4,8]}}`, 8),
      3,
    ],
  ]
  for (const [what, bytes, count] of accepted) {
    it(`accepts ${what}`, async () => {
      expect(await readSafetensors(bytes)).to.have.property('size', count)
    })
  }

  const utf8 = (text: string, ...extra: number[]) => Buffer.concat([Buffer.from(text), Buffer.from(extra)])
  const refused: [string, Uint8Array][] = [
    ['an empty file', new Uint8Array(0)],
    ['7 bytes', new Uint8Array(7)],
    ['no header', file('')],
    ['a header of one byte', file('{')],
    ['a header past the end', file('{}', 0, 3n)],
    ['a header of 100 MB and one byte', file('{}', 0, 100_000_001n)],
    ['a header length of 2^64 - 1', file('{}', 0, 2n ** 64n - 1n)],
    ['a header length that wraps', file('{}', 0, 2n ** 64n - 8n)],
    ['a byte order mark', file('\ufeff{}')],
    ['bytes that are no UTF-8', file(utf8('{"', 0xff, 0x22))],
    ['overlong UTF-8', file(Buffer.concat([Buffer.from('{"'), Buffer.from([0xc0, 0x80]), Buffer.from(`":{${f32}}}`)]), 4)],
    ['an array', file('[]')],
    ['null', file('null')],
    ['a number', file('12345')],
    ['two documents', file('{}{}')],
    ['NUL padding', file('{}\0\0')],
    ['a comment', file('{/**/}')],
    ['a comma at the end', file(`{"a":{${f32}},}`, 4)],
    ['a missing colon', file(`{"a" {${f32}}}`, 4)],
    ['single quotes', file("{'a':{}}")],
    ['a control character in a name', file(`{"a\n":{${f32}}}`, 4)],
    ['a bad escape', one(f32, 4, '\\x61')],
    ['half an escape', one(f32, 4, '\\u00')],
    ['a lone surrogate', one(f32, 4, '\\ud800')],
    ['an unclosed text', file('{"a')],
    ['a tensor that is null', file('{"a":null}')],
    ['a tensor that is an array', file('{"a":[]}')],
    ['depth', file('{"a":'.repeat(100_000))],
    ['depth in the metadata', file(`{"__metadata__":${'{"a":'.repeat(100_000)}`)],
    ['metadata that is no object', file('{"__metadata__":"a"}')],
    ['null metadata', file('{"__metadata__":null}')],
    ['metadata of numbers', file('{"__metadata__":{"a":1}}')],
    ['metadata twice', file('{"__metadata__":{},"__metadata__":{}}')],
    ['a metadata key twice', file('{"__metadata__":{"a":"1","a":"2"}}')],
    ['a tensor twice', file(`{"a":{${f32}},"a":{${f32}}}`, 4)],
    ['a tensor twice, through an escape', file(`{"a":{${f32}},"\\u0061":{${f32}}}`, 4)],
    ['a field twice', one(`${f32},"dtype":"F32"`)],
    ['a field twice, through an escape', one(`${f32},"dtyp\\u0065":"F32"`)],
    ['an unknown field', one(`${f32},"x":1`)],
    ['no dtype', one('"shape":[1],"data_offsets":[0,4]')],
    ['no shape', one('"dtype":"F32","data_offsets":[0,4]')],
    ['no offsets', one('"dtype":"F32","shape":[1]')],
    ['an unknown dtype', one('"dtype":"F31","shape":[1],"data_offsets":[0,4]')],
    ['a dtype in lower case', one('"dtype":"f32","shape":[1],"data_offsets":[0,4]')],
    ['a dtype of an object’s member', one('"dtype":"constructor","shape":[1],"data_offsets":[0,4]')],
    ['a dtype that is a number', one('"dtype":32,"shape":[1],"data_offsets":[0,4]')],
    ['half a byte', one('"dtype":"F4","shape":[1],"data_offsets":[0,1]', 1)],
    ['a negative side', one('"dtype":"F32","shape":[-1],"data_offsets":[0,4]')],
    ['a side with a fraction', one('"dtype":"F32","shape":[1.0],"data_offsets":[0,4]')],
    ['a side with an exponent', one('"dtype":"F32","shape":[1e0],"data_offsets":[0,4]')],
    ['a side with a leading zero', one('"dtype":"F32","shape":[01],"data_offsets":[0,4]')],
    ['a side that is text', one('"dtype":"F32","shape":["1"],"data_offsets":[0,4]')],
    ['a shape that is null', one('"dtype":"F32","shape":null,"data_offsets":[0,4]')],
    ['rank 9', one('"dtype":"U8","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,4]')],
    ['rank 1,000,000', one(`"dtype":"U8","shape":[${'1,'.repeat(999_999)}4],"data_offsets":[0,4]`)],
    ['a product over 2^64', one('"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]')],
    ['a product that wraps to 1', one('"dtype":"U8","shape":[6700417,641,4294967297],"data_offsets":[0,4]')],
    ['bytes over 2^53', one('"dtype":"F64","shape":[9007199254740991],"data_offsets":[0,4]')],
    ['a huge side beside 0', one('"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]', 0)],
    ['a huge product beside 0', one('"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]', 0)],
    ['a side of 2^64', one('"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]')],
    ['a negative offset', one('"dtype":"F32","shape":[1],"data_offsets":[-4,0]')],
    ['an offset with a fraction', one('"dtype":"F32","shape":[1],"data_offsets":[0,4.0]')],
    ['an offset of 2^64 - 1', one('"dtype":"F32","shape":[1],"data_offsets":[18446744073709551615,3]')],
    ['offsets in the wrong order', one('"dtype":"F32","shape":[1],"data_offsets":[4,0]')],
    ['one offset', one('"dtype":"F32","shape":[1],"data_offsets":[0]')],
    ['three offsets', one('"dtype":"F32","shape":[1],"data_offsets":[0,4,8]')],
    ['data past the end', one('"dtype":"F32","shape":[2],"data_offsets":[0,8]')],
    ['too few bytes for the shape', one('"dtype":"F32","shape":[2],"data_offsets":[0,4]')],
    ['bytes behind the data', one(f32, 5)],
    ['a gap at the start', one('"dtype":"F32","shape":[1],"data_offsets":[4,8]', 8)],
    ['a gap', file(`{"a":{${f32}},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, 12)],
    ['one place for two tensors', file(`{"a":{${f32}},"b":{${f32}}}`, 4)],
    [
      'an overlap',
      file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12),
    ],
    ['an empty name', one(f32, 4, '')],
    ['a NUL in a name', one(f32, 4, 'a\\u0000b')],
    ['a name of 1 MB', one(f32, 4, 'a'.repeat(1 << 20))],
    ['__proto__', one(f32, 4, '__proto__')],
    ['a name that climbs', one(f32, 4, '../a')],
  ]
  for (const [what, bytes] of refused) {
    it(`refuses ${what}`, async () => {
      const began = performance.now()
      const error = await rejected(() => readSafetensors(bytes))
      expect(performance.now() - began).to.be.below(50)
      expect(error.code).to.equal('ERR_SKNET_FORMAT')
      expect(error.message.length).to.be.below(600)
      expect(error.exitCode).to.equal(3)
    })
  }

  it('names file, tensor, what was got and what is expected', async () => {
    const error = await rejected(() => readSafetensorsFile(one('"dtype":"F32","shape":[2],"data_offsets":[0,4]'), 'w.safetensors'))
    expect(error).to.include({ path: 'w.safetensors', tensor: 'a', got: 4, expected: '8 bytes' })
    expect(error.message).to.match(/^w\.safetensors: a: .*; expected 8 bytes$/)
  })

  it('judges every case of the shared corpus as its manifest says', async function () {
    if (!existsSync(cases)) return this.skip()
    const manifest = JSON.parse(readFileSync(new URL('MANIFEST.json', cases), 'utf8')) as { file: string; expect: string; reason: string }[]
    expect(manifest.length).to.be.at.least(54)
    for (const { file: name, expect: verdict, reason } of manifest) {
      const path = new URL(name, cases).pathname
      const began = performance.now()
      const result = await readSafetensors(path).then(
        () => 'accept',
        (error: { code: string }) => (error.code === 'ERR_SKNET_FORMAT' ? 'reject' : error.code),
      )
      expect(result, `${name} (${reason})`).to.equal(verdict)
      expect(performance.now() - began, `milliseconds for ${name}`).to.be.below(50)
    }
  })
})

describe('safetensors files', () => {
  const folder = temporaryFolder()
  const all: [SafeTensor['dtype'], SafeTensor['data']][] = [
    ['F32', Float32Array.of(1.5, -2)],
    ['F64', Float64Array.of(1 / 3, 2)],
    ['F16', Uint16Array.of(0x3c00, 0xc000)],
    ['BF16', Uint16Array.of(0x3f80, 0xc000)],
    ['I8', Int8Array.of(-1, 2)],
    ['U8', Uint8Array.of(255, 2)],
    ['BOOL', Uint8Array.of(0, 1)],
    ['I16', Int16Array.of(-300, 2)],
    ['U16', Uint16Array.of(65535, 2)],
    ['I32', Int32Array.of(-70000, 2)],
    ['U32', Uint32Array.of(4294967295, 2)],
    ['I64', BigInt64Array.of(-(2n ** 63n), 2n)],
    ['U64', BigUint64Array.of(2n ** 64n - 1n, 2n)],
  ]
  const tensors = new Map<string, SafeTensor>(all.map(([dtype, data], i) => [`t${i}.${dtype}`, { dtype, shape: [1, 2], data }]))

  it('come back as they were, from a path and from bytes', async () => {
    const path = join(folder(), 'all.safetensors')
    await writeSafetensors(path, tensors, { b: 'two', a: 'one "é"' })
    for (const source of [path, readFileSync(path), new Uint8Array(readFileSync(path))]) {
      const { metadata, tensors: read } = await readSafetensorsFile(source)
      expect([...metadata]).to.deep.equal([
        ['a', 'one "é"'],
        ['b', 'two'],
      ])
      expect(read.size).to.equal(tensors.size)
      for (const [name, tensor] of tensors) expect(read.get(name), name).to.deep.equal(tensor)
    }
  })

  it('do not depend on the order of tensors and metadata, and align every tensor', async () => {
    const [a, b] = [join(folder(), 'a.safetensors'), join(folder(), 'b.safetensors')]
    await writeSafetensors(a, tensors, { x: '1', y: '2' })
    await writeSafetensors(b, new Map([...tensors].reverse()), { y: '2', x: '1' })
    expect(readFileSync(a).equals(readFileSync(b))).to.equal(true)
    expect(Number(readFileSync(a).readBigUInt64LE(0)) % 8).to.equal(0)
  })

  it('hold data over a piece, from a view of a larger buffer', async () => {
    const path = join(folder(), 'large.safetensors')
    const buffer = new Float32Array(3_000_001).map((_, i) => i)
    await writeSafetensors(path, new Map([['x', { dtype: 'F32', shape: [3_000_000], data: buffer.subarray(1) }]]))
    const read = await readSafetensors(path)
    expect(Buffer.from(read.get('x')!.data.buffer).equals(Buffer.from(buffer.buffer, 4))).to.equal(true)
  })

  it('are not aliases of the bytes they were read from', async () => {
    const bytes = Buffer.from(one(f32))
    const data = (await readSafetensors(bytes)).get('a')!.data
    bytes.fill(255)
    expect(data[0]).to.equal(0)
  })

  it('convert to float32', async () => {
    const half = Uint16Array.of(0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x0400, 0x3555, 0x7c00, 0xfc00, 0x7e00)
    const expected = [0, -0, 1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 0.333251953125, Infinity, -Infinity, NaN]
    expect([...toFloat32({ dtype: 'F16', shape: [12], data: half })]).to.deep.equal(expected)
    expect([...toFloat32({ dtype: 'BF16', shape: [3], data: Uint16Array.of(0x3f80, 0xc2f7, 0x7f80) })]).to.deep.equal([1, -123.5, Infinity])
    expect([...toFloat32({ dtype: 'F64', shape: [1], data: Float64Array.of(1 / 3) })]).to.deep.equal([Math.fround(1 / 3)])
    const error = await rejected(() => toFloat32({ dtype: 'I32', shape: [1], data: Int32Array.of(1) }, 'x.weight'))
    expect(error).to.include({ code: 'ERR_SKNET_FORMAT', tensor: 'x.weight', got: 'I32' })
  })

  it('are refused where they are no files', async () => {
    for (const path of [folder(), join(folder(), 'none.safetensors'), '/dev/null']) {
      expect(await rejected(() => readSafetensors(path))).to.include({ code: 'ERR_SKNET_FORMAT', path })
    }
    expect((await rejected(() => readSafetensors(3 as unknown as string))).code).to.equal('ERR_SKNET_OPTION')
  })

  it('are refused at every length but their own', async () => {
    const path = join(folder(), 'whole.safetensors')
    await writeSafetensors(path, tensors, { a: 'b' })
    const whole = readFileSync(path)
    for (let length = 0; length < whole.length; length += 7) {
      const cut = join(folder(), 'cut.safetensors')
      writeFileSync(cut, whole.subarray(0, length))
      expect((await rejected(() => readSafetensors(cut))).code, `${length} bytes`).to.equal('ERR_SKNET_FORMAT')
    }
    expect((await rejected(() => readSafetensors(Buffer.concat([whole, Buffer.of(0)])))).code).to.equal('ERR_SKNET_FORMAT')
  })

  it('are not written where data and shape differ, and the old file stays', async () => {
    const path = join(folder(), 'kept.safetensors')
    await writeSafetensors(path, tensors)
    const before = readFileSync(path)
    const bad: SafeTensor[] = [
      { dtype: 'F32', shape: [3], data: new Float32Array(2) },
      { dtype: 'F64', shape: [2], data: new Float32Array(2) },
    ]
    for (const tensor of bad) {
      const error = await rejected(() => writeSafetensors(path, new Map([['w', tensor]])))
      expect(error).to.include({ code: 'ERR_SKNET_OPTION', tensor: 'w' })
    }
    expect(readFileSync(path).equals(before)).to.equal(true)
  })

  it('say where they cannot be written', async () => {
    const path = join(folder(), 'no', 'w.safetensors')
    const error = await rejected(() => writeSafetensors(path, tensors))
    expect(error).to.include({ code: 'ERR_SKNET_CHECKPOINT_IO', path, got: 'ENOENT', exitCode: 7 })
  })
})
