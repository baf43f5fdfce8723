// ONNX's operators in float64 with naive loops, as far as exported networks use them, from ONNX's own definitions; NCHW.
import type { OnnxFile, OnnxNode } from './read-onnx.js'

export interface Array4 {
  dims: number[]
  data: Float64Array
}

/** Runs a graph; `input` is [n, c, h, w]. */
export function runOnnx(file: OnnxFile, input: Array4): Array4 {
  const values = new Map<string, Array4>([[file.inputs[0]!.name, input]])
  for (const [name, { dims, data }] of file.tensors) values.set(name, { dims, data: Float64Array.from(data, Number) })
  for (const node of file.nodes) {
    const operator = operators[node.op]
    if (operator === undefined) throw new Error(`${node.op} is not known here`)
    const results = operator(
      node.inputs.map((name) => {
        const value = values.get(name)
        if (value === undefined) throw new Error(`${node.name} reads ${name} before it is there`)
        return value
      }),
      node,
    )
    node.outputs.forEach((name, i) => {
      if (values.has(name)) throw new Error(`${name} is written twice`)
      values.set(name, results[i]!)
    })
  }
  return values.get(file.outputs[0]!.name)!
}

type Operator = (inputs: Array4[], node: OnnxNode) => Array4[]

const operators: Record<string, Operator> = {
  Conv: ([x, w, b], node) => [conv(x!, w!, b, node)],
  BatchNormalization: ([x, scale, shift, mean, variance], { attributes }) => {
    const c = x!.dims[1]!
    const run = x!.data.length / x!.dims[0]! / c
    return [
      mapped(x!, (v, i) => {
        const k = Math.floor(i / run) % c
        return ((v - mean!.data[k]!) / Math.sqrt(variance!.data[k]! + (attributes.epsilon as number))) * scale!.data[k]! + shift!.data[k]!
      }),
    ]
  },
  Relu: ([x]) => [mapped(x!, (v) => Math.max(v, 0))],
  Sigmoid: ([x]) => [mapped(x!, (v) => 1 / (1 + Math.exp(-v)))],
  Add: ([a, b]) => [mapped(a!, (v, i) => v + b!.data[i]!)],
  Sum: (inputs) => [inputs.reduce((a, b) => mapped(a, (v, i) => v + b.data[i]!))],
  /** [n, c, h, w] times [n, c, 1, 1]. */
  Mul: ([a, b]) => {
    const run = a!.dims[2]! * a!.dims[3]!
    if (b!.data.length * run !== a!.data.length) throw new Error('Mul: not a gate of the channels')
    return [mapped(a!, (v, i) => v * b!.data[Math.floor(i / run)]!)]
  },
  MaxPool: ([x], node) => [maxPool(x!, node)],
  GlobalAveragePool: ([x]) => {
    const [n, c] = x!.dims as [number, number]
    const run = x!.data.length / n / c
    const data = Float64Array.from({ length: n * c }, (_, i) => x!.data.subarray(i * run, (i + 1) * run).reduce((a, b) => a + b, 0) / run)
    return [{ dims: [n, c, 1, 1], data }]
  },
  Flatten: ([x]) => [{ dims: [x!.dims[0]!, x!.data.length / x!.dims[0]!], data: x!.data }],
  /** x w^T + b */
  Gemm: ([x, w, b], { attributes }) => {
    if (attributes.transB !== 1) throw new Error('Gemm: transB')
    const [n, k] = x!.dims as [number, number]
    const out = w!.dims[0]!
    const data = Float64Array.from({ length: n * out }, (_, i) => {
      const [row, column] = [Math.floor(i / out), i % out]
      let sum = b?.data[column] ?? 0
      for (let j = 0; j < k; j++) sum += x!.data[row * k + j]! * w!.data[column * k + j]!
      return sum
    })
    return [{ dims: [n, out], data }]
  },
  Reshape: ([x, shape]) => [{ dims: Array.from(shape!.data, (side, i) => (side === 0 ? x!.dims[i]! : side)), data: x!.data }],
  Softmax: ([x], { attributes }) => {
    if (attributes.axis !== 1) throw new Error('Softmax: axis')
    const [n, m] = x!.dims as [number, number]
    const run = x!.data.length / n / m
    return [
      mapped(x!, (v, i) => {
        const first = Math.floor(i / (m * run)) * m * run + (i % run)
        let sum = 0
        for (let k = 0; k < m; k++) sum += Math.exp(x!.data[first + k * run]! - v)
        return 1 / sum
      }),
    ]
  },
  Split: ([x, sizes], { attributes }) => {
    if (attributes.axis !== 1) throw new Error('Split: axis')
    const starts = Array.from(sizes!.data, (_, i) => sizes!.data.subarray(0, i).reduce((a, b) => a + b, 0))
    return starts.map((start, i) =>
      taken(
        x!,
        Array.from({ length: sizes!.data[i]! }, (_, k) => start + k),
      ),
    )
  },
  Concat: (inputs, { attributes }) => {
    if (attributes.axis !== 1) throw new Error('Concat: axis')
    const [n, , ...rest] = inputs[0]!.dims
    const data = Array.from({ length: n! }, (_, i) => inputs.flatMap((x) => Array.from(image(x, i)))).flat()
    return [{ dims: [n!, inputs.reduce((sum, x) => sum + x.dims[1]!, 0), ...rest], data: Float64Array.from(data) }]
  },
  Slice: ([x, starts, ends, axes]) => {
    if (axes!.data[0] !== 1) throw new Error('Slice: axis')
    const [start, end] = [starts!.data[0]!, ends!.data[0]!]
    return [
      taken(
        x!,
        Array.from({ length: end - start }, (_, i) => start + i),
      ),
    ]
  },
  Gather: ([x, indices], { attributes }) => {
    if (attributes.axis !== 1) throw new Error('Gather: axis')
    return [taken(x!, Array.from(indices!.data))]
  },
}

function mapped({ dims, data }: Array4, f: (v: number, i: number) => number): Array4 {
  return { dims, data: data.map(f) }
}

function image({ dims, data }: Array4, i: number): Float64Array {
  const run = data.length / dims[0]!
  return data.subarray(i * run, (i + 1) * run)
}

/** These channels, in this order. */
function taken(x: Array4, channels: number[]): Array4 {
  const [n, c, ...rest] = x.dims as [number, number, ...number[]]
  const run = x.data.length / n / c
  const data = Array.from({ length: n }, (_, i) => channels.flatMap((k) => Array.from(image(x, i).subarray(k * run, (k + 1) * run)))).flat()
  return { dims: [n, channels.length, ...rest], data: Float64Array.from(data) }
}

function window({ attributes }: OnnxNode) {
  const of = (name: string) => attributes[name] as number[]
  return {
    kernel: of('kernel_shape'),
    strides: of('strides'),
    pads: of('pads'),
    dilations: of('dilations'),
    ceil: attributes.ceil_mode === 1,
  }
}

function conv(x: Array4, w: Array4, b: Array4 | undefined, node: OnnxNode): Array4 {
  const [n, c, h, width] = x.dims as [number, number, number, number]
  const [out, cg, kh, kw] = w.dims as [number, number, number, number]
  const { strides, pads, dilations } = window(node)
  const groups = node.attributes.group as number
  if (cg * groups !== c) throw new Error('Conv: channels')
  const side = (size: number, axis: 0 | 1, k: number) =>
    Math.floor((size + pads[axis]! + pads[axis + 2]! - dilations[axis]! * (k - 1) - 1) / strides[axis]!) + 1
  const [oh, ow] = [side(h, 0, kh), side(width, 1, kw)]
  const y = new Float64Array(n * out * oh * ow)
  let to = 0
  for (let i = 0; i < n; i++) {
    for (let o = 0; o < out; o++) {
      const first = Math.floor(o / (out / groups)) * cg
      for (let oy = 0; oy < oh; oy++) {
        for (let ox = 0; ox < ow; ox++) {
          let sum = b?.data[o] ?? 0
          for (let k = 0; k < cg; k++) {
            for (let ky = 0; ky < kh; ky++) {
              for (let kx = 0; kx < kw; kx++) {
                const iy = oy * strides[0]! - pads[0]! + ky * dilations[0]!
                const ix = ox * strides[1]! - pads[1]! + kx * dilations[1]!
                if (iy < 0 || iy >= h || ix < 0 || ix >= width) continue
                sum += x.data[((i * c + first + k) * h + iy) * width + ix]! * w.data[((o * cg + k) * kh + ky) * kw + kx]!
              }
            }
          }
          y[to++] = sum
        }
      }
    }
  }
  return { dims: [n, out, oh, ow], data: y }
}

function maxPool(x: Array4, node: OnnxNode): Array4 {
  const [n, c, h, width] = x.dims as [number, number, number, number]
  const { kernel, strides, pads, ceil } = window(node)
  const side = (size: number, axis: 0 | 1) => {
    const steps = (size + pads[axis]! + pads[axis + 2]! - kernel[axis]!) / strides[axis]!
    return (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1
  }
  const [oh, ow] = [side(h, 0), side(width, 1)]
  const y = new Float64Array(n * c * oh * ow).fill(-Infinity)
  for (let plane = 0; plane < n * c; plane++) {
    for (let oy = 0; oy < oh; oy++) {
      for (let ox = 0; ox < ow; ox++) {
        for (let ky = 0; ky < kernel[0]!; ky++) {
          for (let kx = 0; kx < kernel[1]!; kx++) {
            const [iy, ix] = [oy * strides[0]! - pads[0]! + ky, ox * strides[1]! - pads[1]! + kx]
            if (iy < 0 || iy >= h || ix < 0 || ix >= width) continue
            const at = (plane * oh + oy) * ow + ox
            y[at] = Math.max(y[at]!, x.data[(plane * h + iy) * width + ix]!)
          }
        }
      }
    }
  }
  return { dims: [n, c, oh, ow], data: y }
}
