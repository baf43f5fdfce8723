import { expect } from 'chai'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { toFloat32 } from '../../lib/checkpoint/safetensors.js'
import type { SafeTensor } from '../../lib/checkpoint/safetensors.js'
import { readTorchFile } from '../../lib/checkpoint/torch-file.js'
import { readWeightsFile } from '../../lib/checkpoint/weights-file.js'
import { dictPickle, makeTorchFile, makeZip, op, tensorOps, torchArchive } from '../support/make-torch-file.js'
import type { TorchTensor, ZipLies, ZipPart } from '../support/make-torch-file.js'
import { temporaryFolder } from '../support/temp.js'
import { rejected } from '../support/thrown.js'

const golden = (name: string) => fileURLToPath(new URL(`../golden/torch/${name}`, import.meta.url))
type Expected = Record<string, { shape: number[]; values: number[] }>
const expected = JSON.parse(readFileSync(golden('expected.json'), 'utf8')) as { plain: Expected; wrapped: Expected }

function numbersOf(tensor: SafeTensor): number[] {
  return Array.from(['I64', 'BOOL'].includes(tensor.dtype) ? tensor.data : toFloat32(tensor), Number)
}

describe("PyTorch's files", () => {
  for (const [file, of] of [
    ['plain.pth', expected.plain],
    ['protocol4.pth', expected.plain],
    ['wrapped.pth', expected.wrapped],
  ] as const) {
    it(`reads ${file} as PyTorch does`, async () => {
      const { format, tensors } = await readWeightsFile(golden(file))
      expect(format).to.equal('torch')
      expect([...tensors.keys()]).to.deep.equal(Object.keys(of))
      for (const [name, { shape, values }] of Object.entries(of)) {
        expect(tensors.get(name)!.shape, name).to.deep.equal(shape)
        expect(numbersOf(tensors.get(name)!), name).to.deep.equal(values.map(Math.fround))
      }
    })
  }

  it('runs nothing of a hostile file, and names what it asked for', async () => {
    const error = await rejected(() => readWeightsFile(golden('hostile.pth')))
    expect(error).to.include({ code: 'ERR_SKNET_FORMAT', path: golden('hostile.pth'), got: 'posix.system' })
    expect(error.hint).to.match(/state_dict/)
    expect(existsSync('PICKLE_WAS_RUN')).to.equal(false)
  })

  for (const [file, says] of [
    ['legacy.pth', /before version 1\.6.*weights_only=True/],
    ['whole_model.pth', /torch\.nn\.modules\.container\.Sequential, which is not allowed/],
    ['script.pth', /TorchScript/],
  ] as const) {
    it(`says what to do about ${file}`, async () => {
      const error = await rejected(() => readWeightsFile(golden(file)))
      expect(error.code).to.equal('ERR_SKNET_FORMAT')
      expect(error.message).to.match(says)
    })
  }

  const folder = temporaryFolder()
  const path = (name: string) => join(folder(), name)
  async function refusal(bytes: Uint8Array): Promise<Awaited<ReturnType<typeof rejected>>> {
    writeFileSync(path('x.pth'), bytes)
    const error = await rejected(() => readTorchFile(path('x.pth')))
    expect(error.code).to.equal('ERR_SKNET_FORMAT')
    expect(error.message.length).to.be.below(600)
    return error
  }
  const two = Buffer.from(Float32Array.of(1, 2).buffer)
  const good: TorchTensor = { storage: '0', length: 2, shape: [2], strides: [1] }
  const whole = () => makeTorchFile(new Map([['weight', { shape: [1, 2], data: Float32Array.of(1, 2) }]]))

  it('refuses every cut of a file', async () => {
    const bytes = whole()
    for (let length = 0; length < bytes.length; length++) await refusal(bytes.subarray(0, length))
    writeFileSync(path('x.pth'), bytes)
    expect(numbersOf((await readTorchFile(path('x.pth'))).get('weight')!)).to.deep.equal([1, 2])
  })

  it('refuses or reads any file with one byte changed, and never fails otherwise', async () => {
    const bytes = whole()
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 0x81
      writeFileSync(path('x.pth'), changed)
      await readTorchFile(path('x.pth')).catch((error: unknown) => expect(error, `byte ${at}`).to.have.property('code', 'ERR_SKNET_FORMAT'))
    }
  })

  const pickle = dictPickle([['weight', tensorOps(good)]])
  const parts = (changes: Partial<ZipPart>): ZipPart[] => [
    { name: 'a/data.pkl', data: pickle },
    { name: 'a/data/0', data: two, ...changes },
  ]
  const archives: [string, ZipPart[], RegExp, ZipLies?][] = [
    ['a compressed entry', parts({ method: 8 }), /a\/data\/0 is compressed/],
    ['a zip bomb', parts({ method: 8, size: 0xfffffff0, packed: 8 }), /compressed/],
    ['sizes that disagree', parts({ size: 8, packed: 4 }), /do not agree/],
    ['an encrypted entry', parts({ flags: 1 }), /encrypted/],
    ['a wrong checksum', parts({ crc: 1 }), /checksum/],
    ['an entry beyond the file', parts({ size: 1 << 30 }), /overlaps/],
    ['entries in one place', [...parts({}), { name: 'a/data/1', data: two, header: 0, ownName: 'a/data.pkl' }], /overlaps|another name/],
    ['an entry twice', [...parts({}), { name: 'a/data/0', data: two }], /twice/],
    ['two names of an entry', parts({ ownName: 'a/data/9' }), /another name/],
    ['a path that climbs', [...parts({}), { name: 'a/../../etc/passwd', data: two }], /is called/],
    ['an absolute path', [...parts({}), { name: '/etc/passwd', data: two }], /is called/],
    ["Windows' paths", [...parts({}), { name: 'c:\\windows', data: two }], /is called/],
    ['a name with NUL', [...parts({}), { name: 'a/\0', data: two }], /is called/],
    ['a name that is no text', [...parts({}), { name: Buffer.of(0xff, 0xfe), data: two }], /UTF-8/],
    ['two pickles', [...parts({}), { name: 'b/data.pkl', data: pickle }], /data\.pkl/],
    ['no pickle', [{ name: 'a/readme', data: two }], /data\.pkl/],
    ['big-endian numbers', [...parts({}), { name: 'a/byteorder', data: Buffer.from('big') }], /big/],
    [
      'a storage too short',
      [
        { name: 'a/data.pkl', data: pickle },
        { name: 'a/data/0', data: two.subarray(4) },
      ],
      /weight: .* 4 bytes/,
    ],
    ['a storage missing', [{ name: 'a/data.pkl', data: pickle }], /weight: .*missing/],
    ['more entries than there are', parts({}), /damaged|passes/, { count: 3 }],
    ['fewer entries than there are', parts({}), /more than its entries/, { count: 1 }],
    ['a directory out of place', parts({}), /damaged|passes/, { directoryAt: 3 }],
    ['a huge directory', parts({}), /entries|passes/, { directorySize: 0xfffffff0 }],
    ['a split archive', parts({}), /split/, { disk: 2 }],
  ]
  for (const [what, list, says, lies] of archives) {
    it(`refuses an archive with ${what}`, async () => {
      expect((await refusal(makeZip(list, lies))).message).to.match(says)
    })
  }

  const call = (...args: Uint8Array[]) => Buffer.concat(args)
  const value = (...ops: Uint8Array[]) => dictPickle([['weight', call(...ops)]])
  const pickles: [string, Uint8Array, RegExp][] = [
    ['os.system', value(op.global('os', 'system'), op.mark, op.text('true'), op.tuple, op.reduce), /os\.system, which is not allowed/],
    ['eval', value(op.global('builtins', 'eval'), op.mark, op.text('1'), op.tuple, op.reduce), /builtins\.eval/],
    ['getattr by another way', value(op.text('builtins'), op.text('getattr'), Buffer.of(0x93)), /builtins\.getattr/],
    ['torch.load', value(op.global('torch.serialization', 'load')), /torch\.serialization\.load/],
    ['__proto__', value(op.global('', '__proto__')), /__proto__/],
    ['INST', value(op.mark, Buffer.from('ios\nsystem\n')), /opcode 0x69/],
    ['OBJ', value(op.mark, Buffer.from('o')), /opcode 0x6f/],
    ['NEWOBJ', value(op.emptyTuple, op.emptyTuple, Buffer.of(0x81)), /opcode 0x81/],
    ['EXT1', value(Buffer.of(0x82, 1)), /opcode 0x82/],
    ['a text persistent id', value(Buffer.from('Pid\n')), /opcode 0x50/],
    ['a call of a text', value(op.text('system'), op.emptyTuple, op.reduce), /cannot be called/],
    ['a call of a storage type', value(op.global('torch', 'FloatStorage'), op.emptyTuple, op.reduce), /arguments it does not take/],
    ['a tensor of nothing', value(op.global('torch._utils', '_rebuild_tensor_v2'), op.emptyTuple, op.reduce), /arguments it does not take/],
    ['another persistent id', value(op.text('x'), op.persistent), /no storage/],
    ['attributes of a tensor', value(tensorOps(good), op.emptyDict, Buffer.from('b')), /attributes/],
    ['a value recalled that was not stored', value(op.get(7)), /recalls 7/],
    ['an empty stack', call(op.proto, op.reduce, op.stop), /where there is none/],
    ['a group that did not begin', call(op.proto, op.tuple, op.stop), /did not begin/],
    ['nothing', call(op.proto, op.stop), /one value/],
    ['two values', call(op.proto, op.emptyDict, op.emptyDict, op.stop), /one value/],
    ['endless nesting', Buffer.alloc(5000, '('), /nests deeper/],
    ['a text longer than the file', Buffer.from([0x58, 0xff, 0xff, 0xff, 0xff]), /cut short/],
    ['a huge whole number', Buffer.concat([Buffer.of(0x8a, 200), Buffer.alloc(200, 1), op.stop]), /200 bytes/],
    ['another protocol', Buffer.of(0x80, 9, 0x2e), /protocol 9/],
    ['no tensors', dictPickle([['epoch', op.number(3)]]), /no tensors in it \(it holds epoch\)/],
    ['a tensor without a name', dictPickle([['', tensorOps(good)]]), /is called ""/],
    ['a tensor called __proto__', dictPickle([['__proto__', tensorOps(good)]]), /__proto__/],
  ]
  for (const [what, bytes, says] of pickles) {
    it(`refuses a pickle with ${what}`, async () => {
      expect((await refusal(torchArchive(bytes, [['0', two]]))).message).to.match(says)
    })
  }

  const large = 2 ** 31
  const layouts: [string, Partial<TorchTensor>][] = [
    ['a shape past its storage', { shape: [3] }],
    ['an offset past its storage', { offset: 1 }],
    ['strides past its storage', { strides: [2] }],
    ['a shape that overflows', { shape: [large, large, large, large], strides: [0, 0, 0, 0] }],
    ['a view repeated by strides of 0', { shape: [large], strides: [0] }],
    ['a stride that overflows', { strides: [Number.MAX_SAFE_INTEGER] }],
    ['a negative side', { shape: [-1] }],
    ['a negative stride', { strides: [-1] }],
    ['as many strides as it has not', { strides: [1, 1] }],
    ['nine sides', { shape: Array<number>(9).fill(1), strides: Array<number>(9).fill(1) }],
  ]
  for (const [what, change] of layouts) {
    it(`refuses a tensor with ${what}`, async () => {
      const bytes = torchArchive(dictPickle([['weight', tensorOps({ ...good, ...change })]]), [['0', two]])
      const error = await refusal(bytes)
      expect(error.tensor ?? error.got).to.be.oneOf(['weight', 'torch._utils._rebuild_tensor_v2'])
    })
  }

  it('refuses tensors that together are many times the file', async () => {
    const storage = Buffer.alloc(1 << 16)
    const tensor = tensorOps({ storage: '0', length: 1 << 14, shape: [1 << 14], strides: [1] })
    const names = Array.from({ length: 50 }, (_, i) => `w${i}`)
    const error = await refusal(torchArchive(dictPickle(names.map((name) => [name, tensor])), [['0', storage]]))
    expect(error.message).to.match(/at most 4 times the file/)
  })

  it('refuses a pickle that copies one list again and again', async () => {
    const pairs = Array.from({ length: 200 }, () => call(op.mark, op.text('k'), op.no, op.tuple))
    const list = call(op.emptyList, op.mark, ...pairs, op.appends, op.put(9))
    const copy = call(op.global('collections', 'OrderedDict'), op.mark, op.get(9), op.tuple, op.reduce)
    const copies = Array.from({ length: 200 }, (_, i) => [`d${i}`, copy] as const)
    expect((await refusal(torchArchive(dictPickle([['l', list], ...copies])))).message).to.match(/again and again/)
  })

  it('leaves the event loop free while it reads', async () => {
    const bytes = torchArchive(
      dictPickle([
        ['notes', call(op.emptyList, op.mark, Buffer.alloc(400_000, op.no), op.appends)],
        ['weight', tensorOps(good)],
      ]),
      [['0', two]],
    )
    writeFileSync(path('x.pth'), bytes)
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    try {
      await readTorchFile(path('x.pth'))
    } finally {
      clearInterval(timer)
    }
    expect(turns).to.be.at.least(2)
  })
})
