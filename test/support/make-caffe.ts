/** Writes .caffemodel files: NetParameter with its layers, by the field numbers of caffe.proto. */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

export interface CaffeBlob {
  shape: readonly number[]
  data: Float32Array
}

export interface CaffeLayer {
  name: string
  type: string
  bottoms?: string[]
  tops?: string[]
  blobs?: CaffeBlob[]
  /** Fields of pooling_param by number. */
  pooling?: Record<number, number>
  /** batch_norm_param.eps */
  eps?: number
  /** Shapes as num, channels, height, width, as files before 2014 have them. */
  oldShapes?: boolean
}

export function caffeModel(layers: readonly CaffeLayer[], field = 100): Uint8Array {
  const w = new BinaryWriter()
  w.tag(1, WireType.LengthDelimited).string('net')
  for (const layer of layers) {
    w.tag(field, WireType.LengthDelimited).fork()
    writeLayer(w, layer)
    w.join()
  }
  return w.finish()
}

function writeLayer(
  w: BinaryWriter,
  { name, type, bottoms = [], tops = [], blobs = [], pooling, eps, oldShapes = false }: CaffeLayer,
): void {
  w.tag(1, WireType.LengthDelimited).string(name)
  w.tag(2, WireType.LengthDelimited).string(type)
  for (const bottom of bottoms) w.tag(3, WireType.LengthDelimited).string(bottom)
  for (const top of tops) w.tag(4, WireType.LengthDelimited).string(top)
  // param { lr_mult, decay_mult }, which readers pass over.
  w.tag(6, WireType.LengthDelimited).fork()
  w.tag(3, WireType.Bit32).float(1)
  w.join()
  for (const { shape, data } of blobs) {
    w.tag(7, WireType.LengthDelimited).fork()
    if (oldShapes) [1, 1, 1, 1, ...shape].slice(-4).forEach((side, i) => w.tag(i + 1, WireType.Varint).int32(side))
    else {
      w.tag(7, WireType.LengthDelimited).fork()
      w.tag(1, WireType.LengthDelimited).fork()
      for (const side of shape) w.int64(side)
      w.join().join()
    }
    w.tag(5, WireType.LengthDelimited).bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    w.join()
  }
  if (pooling !== undefined) {
    w.tag(121, WireType.LengthDelimited).fork()
    for (const [field, value] of Object.entries(pooling)) w.tag(Number(field), WireType.Varint).int32(value)
    w.join()
  }
  if (eps !== undefined) {
    w.tag(139, WireType.LengthDelimited).fork()
    w.tag(3, WireType.Bit32).float(eps)
    w.join()
  }
}
