/**
 * ONNX files in protobuf's wire format: the messages and field numbers of onnx.proto that an exported network needs. A message is a list of
 * parts, so that weights go into the file as they are, without a copy of the whole.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { bytesOf } from '../../checkpoint/dtype.js'

export type Parts = Uint8Array<ArrayBufferLike>[]

export type Attribute = number | number[] | { float: number }

export interface Node {
  op: string
  name: string
  inputs: string[]
  outputs: string[]
  attributes: Record<string, Attribute>
}

export interface Initializer {
  name: string
  dims: readonly number[]
  data: Float32Array | BigInt64Array
}

/** A side is a number, or the name of one that is free. */
export interface Value {
  name: string
  dims: (number | string)[]
}

export interface Graph {
  name: string
  nodes: Node[]
  initializers: Initializer[]
  inputs: Value[]
  outputs: Value[]
}

export interface OnnxModel {
  irVersion: number
  opset: number
  producerVersion: string
  graph: Graph
  metadata: Record<string, string>
}

/** TensorProto.DataType */
const [FLOAT, INT64] = [1, 7]
/** AttributeProto.AttributeType */
const types = { float: 1, int: 2, ints: 7 }

export function sizeOf(parts: Parts): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

export function modelParts({ irVersion, opset, producerVersion, graph, metadata }: OnnxModel): Parts {
  return [
    message((w) => {
      int(w, 1, irVersion)
      text(w, 2, 'sknet')
      text(w, 3, producerVersion)
    }),
    ...nested(7, graphParts(graph)),
    message((w) => {
      nest(w, 8, () => int(w, 2, opset))
      for (const [key, value] of Object.entries(metadata)) {
        nest(w, 14, () => {
          text(w, 1, key)
          text(w, 2, value)
        })
      }
    }),
  ]
}

function graphParts({ name, nodes, initializers, inputs, outputs }: Graph): Parts {
  const head = message((w) => {
    for (const node of nodes) nest(w, 1, () => writeNode(w, node))
    text(w, 2, name)
  })
  const tail = message((w) => {
    for (const value of inputs) nest(w, 11, () => writeValue(w, value))
    for (const value of outputs) nest(w, 12, () => writeValue(w, value))
  })
  return [head, ...initializers.flatMap((initializer) => nested(5, tensorParts(initializer))), tail]
}

function tensorParts({ name, dims, data }: Initializer): Parts {
  const head = message((w) => {
    for (const dim of dims) int(w, 1, dim)
    int(w, 2, data instanceof Float32Array ? FLOAT : INT64)
    text(w, 8, name)
  })
  return [head, ...nested(9, [bytesOf(data)])]
}

function writeNode(w: BinaryWriter, { op, name, inputs, outputs, attributes }: Node): void {
  for (const input of inputs) text(w, 1, input)
  for (const output of outputs) text(w, 2, output)
  text(w, 3, name)
  text(w, 4, op)
  for (const [key, value] of Object.entries(attributes)) nest(w, 5, () => writeAttribute(w, key, value))
}

function writeAttribute(w: BinaryWriter, name: string, value: Attribute): void {
  text(w, 1, name)
  if (typeof value === 'number') int(w, 3, value)
  else if (Array.isArray(value)) for (const item of value) int(w, 8, item)
  else w.tag(2, WireType.Bit32).float(value.float)
  int(w, 20, typeof value === 'number' ? types.int : Array.isArray(value) ? types.ints : types.float)
}

/** ValueInfoProto: a float tensor. */
function writeValue(w: BinaryWriter, { name, dims }: Value): void {
  text(w, 1, name)
  const shape = () => {
    for (const dim of dims) nest(w, 1, () => (typeof dim === 'number' ? int(w, 1, dim) : text(w, 2, dim)))
  }
  const tensor = () => {
    int(w, 1, FLOAT)
    nest(w, 2, shape)
  }
  nest(w, 2, () => nest(w, 1, tensor))
}

function message(write: (w: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter()
  write(writer)
  return writer.finish()
}

/** A message inside another, as parts. */
function nested(field: number, parts: Parts): Parts {
  return [message((w) => w.tag(field, WireType.LengthDelimited).uint32(sizeOf(parts))), ...parts]
}

function nest(w: BinaryWriter, field: number, write: () => void): void {
  w.tag(field, WireType.LengthDelimited).fork()
  write()
  w.join()
}

function int(w: BinaryWriter, field: number, value: number): void {
  w.tag(field, WireType.Varint).int64(value)
}

function text(w: BinaryWriter, field: number, value: string): void {
  w.tag(field, WireType.LengthDelimited).string(value)
}
