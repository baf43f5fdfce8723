/** Shape inference: what every layer of a network puts out for an input of a given size. */
import { SknetError } from '../errors.js'
import { INPUT } from './spec.js'
import type { Conv2dLayer, Layer, MaxPoolLayer, ModelSpec, SkUnitLayer } from './spec.js'

/** One image's activation: [h, w, c]. */
export type Shape = [h: number, w: number, c: number]

/** Height and width in pixels; one number is both. */
export type InputSize = number | { height: number; width: number }

/** ERR_SKNET_MODEL naming the layer in `tensor`. */
export function layerError(layer: string, what: string, got: unknown, expected: string, hint?: string): SknetError {
  const message = `Layer ${layer}: ${what}; expected ${expected}${hint === undefined ? '' : `. ${hint}`}`
  return new SknetError('ERR_SKNET_MODEL', message, { tensor: layer, got, expected, ...(hint === undefined ? {} : { hint }) })
}

/**
 * Output shape of each layer, in order, for an input of `size` (default: the spec's own). Throws ERR_SKNET_MODEL naming the layer whose
 * inputs do not fit: groups that do not divide its channels, sums of different shapes, an image too small for the network.
 */
export function inferShapes(spec: Pick<ModelSpec, 'layers' | 'input'>, size: InputSize = spec.input.size): Map<string, Shape> {
  const { height, width } = typeof size === 'number' ? { height: size, width: size } : size
  const shapes = new Map<string, Shape>([[INPUT, [height, width, spec.input.channels]]])
  for (const layer of spec.layers) {
    const inputs = layer.inputs.map((name) => shapes.get(name) ?? unknownInput(layer, name))
    const shape = outputShape(layer, inputs)
    if (shape[0] < 1 || shape[1] < 1) {
      throw layerError(
        layer.name,
        `its output is ${text(shape)} for an input of ${height}x${width}`,
        shape,
        'at least 1x1',
        'The image is too small.',
      )
    }
    shapes.set(layer.name, shape)
  }
  shapes.delete(INPUT)
  return shapes
}

/** Shapes of the inputs of each layer; `shapes` as inferShapes returns it. */
export function inputShape(layer: Layer, shapes: ReadonlyMap<string, Shape>, input: Shape): Shape {
  const name = layer.inputs[0]!
  return name === INPUT ? input : (shapes.get(name) ?? unknownInput(layer, name))
}

function outputShape(layer: Layer, inputs: readonly Shape[]): Shape {
  const [h, w, c] = inputs[0]!
  switch (layer.op) {
    case 'conv2d':
      checkGroups(layer.name, layer.groups, c, layer.out)
      return [windowed(h, layer), windowed(w, layer), layer.out]
    case 'sk_unit':
      for (const branch of layer.branches) checkGroups(layer.name, branch.groups, branchChannels(layer, c), layer.out)
      return [strided(h, layer), strided(w, layer), layer.out]
    case 'max_pool':
      return [pooled(h, layer), pooled(w, layer), c]
    case 'global_avg_pool':
      return [1, 1, c]
    case 'linear':
      if (h !== 1 || w !== 1) {
        throw layerError(layer.name, `its input is ${text(inputs[0]!)}`, inputs[0], 'one of 1x1, as global_avg_pool gives')
      }
      return [1, 1, layer.out]
    case 'add':
      if (text(inputs[0]!) !== text(inputs[1]!)) {
        const names = `${layer.inputs[0]} is ${text(inputs[0]!)}, ${layer.inputs[1]} is ${text(inputs[1]!)}`
        throw layerError(layer.name, `its inputs differ: ${names}`, inputs, 'two inputs of one shape')
      }
      return [h, w, c]
    case 'channel_scale':
      if (text(inputs[1]!) !== text([1, 1, c])) {
        throw layerError(layer.name, `its gate ${layer.inputs[1]} is ${text(inputs[1]!)}`, inputs[1], text([1, 1, c]))
      }
      return [h, w, c]
    case 'concat': {
      const other = inputs.findIndex((input) => input[0] !== h || input[1] !== w)
      if (other >= 0) {
        const names = `${layer.inputs[0]} is ${text(inputs[0]!)}, ${layer.inputs[other]} is ${text(inputs[other]!)}`
        throw layerError(layer.name, `its inputs differ in size: ${names}`, inputs, 'inputs of one height and width')
      }
      return [h, w, inputs.reduce((sum, input) => sum + input[2], 0)]
    }
    case 'channel_slice':
      if (layer.first + layer.out > c) {
        const end = layer.first + layer.out
        throw layerError(layer.name, `its slice ends at channel ${end} of ${c}`, end, `at most ${c}, the channels of ${layer.inputs[0]}`)
      }
      return [h, w, layer.out]
    case 'channel_shuffle':
      checkGroups(layer.name, layer.groups, c, c)
      return [h, w, c]
    case 'batch_norm':
    case 'relu':
    case 'sigmoid':
      return [h, w, c]
  }
}

/** Input channels of one branch of an SK unit that reads c. */
export function branchChannels({ name, branches, splitInput }: SkUnitLayer, c: number): number {
  if (splitInput !== true) return c
  if (c % branches.length === 0) return c / branches.length
  throw layerError(name, `${branches.length} branches share ${c} channels`, c, 'a number of channels that the branches divide')
}

function windowed(size: number, layer: Conv2dLayer): number {
  return Math.floor((size + 2 * layer.padding - layer.dilation * (layer.kernel - 1) - 1) / layer.stride) + 1
}

/** With `ceil` a last window counts that the image cuts, if it begins inside it or in the padding before it. */
function pooled(size: number, { kernel, stride, padding, ceil }: MaxPoolLayer): number {
  const span = size + 2 * padding - kernel
  if (ceil !== true) return Math.floor(span / stride) + 1
  const out = Math.max(0, Math.ceil(span / stride)) + 1
  return (out - 1) * stride < size + padding ? out : out - 1
}

function strided(size: number, layer: SkUnitLayer): number {
  return Math.floor((size - 1) / layer.stride) + 1
}

function checkGroups(layer: string, groups: number, channels: number, out: number): void {
  if (channels % groups === 0 && out % groups === 0) return
  const both = channels === out ? `${channels} channels` : `${channels} input and ${out} output channels`
  throw layerError(layer, `${groups} groups for ${both}`, groups, 'a number of groups that divides the channels')
}

function text(shape: Shape): string {
  return shape.join('x')
}

function unknownInput(layer: Layer, name: string): never {
  throw layerError(layer.name, `it reads '${name}'`, name, `'${INPUT}' or the name of an earlier layer`)
}
