/** Reads back what an ONNX file holds, as far as tests ask: messages by the field numbers of onnx.proto. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { readFileSync } from 'node:fs'

type Field = number | Uint8Array

export interface OnnxNode {
  op: string
  name: string
  inputs: string[]
  outputs: string[]
  attributes: Record<string, number | number[]>
}

export interface OnnxTensor {
  dims: number[]
  data: Float32Array | BigInt64Array
}

export interface OnnxFile {
  irVersion: number
  opset: number
  producer: string
  metadata: Record<string, string>
  nodes: OnnxNode[]
  tensors: Map<string, OnnxTensor>
  inputs: { name: string; dims: (number | string)[] }[]
  outputs: { name: string; dims: (number | string)[] }[]
}

export function readOnnx(path: string): OnnxFile {
  const model = fields(new Uint8Array(readFileSync(path)))
  const graph = fields(bytes(model, 7))
  const opset = fields(bytes(model, 8))
  return {
    irVersion: number(model, 1),
    opset: number(opset, 2),
    producer: text(model, 2),
    metadata: Object.fromEntries(all(model, 14).map((entry) => [text(fields(entry), 1), text(fields(entry), 2)])),
    nodes: all(graph, 1).map((node) => nodeOf(fields(node))),
    tensors: new Map(all(graph, 5).map((tensor) => tensorOf(fields(tensor)))),
    inputs: all(graph, 11).map((value) => valueOf(fields(value))),
    outputs: all(graph, 12).map((value) => valueOf(fields(value))),
  }
}

function nodeOf(message: Message): OnnxNode {
  const attributes = all(message, 5).map((bytes) => {
    const attribute = fields(bytes)
    const type = number(attribute, 20)
    const value = type === 7 ? attribute.get(8)!.map(Number) : type === 2 ? number(attribute, 3) : number(attribute, 2)
    return [text(attribute, 1), value] as const
  })
  const [inputs, outputs] = [1, 2].map((field) => all(message, field).map((name) => Buffer.from(name).toString()))
  return { op: text(message, 4), name: text(message, 3), inputs: inputs!, outputs: outputs!, attributes: Object.fromEntries(attributes) }
}

function tensorOf(message: Message): [string, OnnxTensor] {
  const raw = bytes(message, 9).slice().buffer
  const data = number(message, 2) === 1 ? new Float32Array(raw) : new BigInt64Array(raw)
  return [text(message, 8), { dims: (message.get(1) ?? []).map(Number), data }]
}

function valueOf(message: Message): { name: string; dims: (number | string)[] } {
  const tensor = fields(bytes(fields(bytes(message, 2)), 1))
  const dims = all(fields(bytes(tensor, 2)), 1).map((bytes) => {
    const dim = fields(bytes)
    return dim.has(1) ? number(dim, 1) : text(dim, 2)
  })
  return { name: text(message, 1), dims }
}

type Message = Map<number, Field[]>

function fields(data: Uint8Array): Message {
  const reader = new BinaryReader(data)
  const message: Message = new Map()
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    const value = type === WireType.LengthDelimited ? reader.bytes() : type === WireType.Bit32 ? reader.float() : Number(reader.int64())
    message.set(field, [...(message.get(field) ?? []), value])
  }
  return message
}

function all(message: Message, field: number): Uint8Array[] {
  return (message.get(field) ?? []) as Uint8Array[]
}

function bytes(message: Message, field: number): Uint8Array {
  return message.get(field)![0] as Uint8Array
}

function text(message: Message, field: number): string {
  return Buffer.from(bytes(message, field)).toString()
}

function number(message: Message, field: number): number {
  return message.get(field)![0] as number
}
