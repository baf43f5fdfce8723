/** How a picture becomes the network's input in evaluation; kept with the weights, so that predicting does what training did. */
import { integer, isObject, number, oneOf, list } from '../check.js'
import type { TransformOptions } from '../native.js'
import type { ModelSpec } from './spec.js'

export interface Preprocessing {
  /** Shorter side before the crop, in pixels; 0: no resize. */
  resize: number
  /** Side of the centre crop: the network's input. */
  crop: number
  interpolation: 'bilinear' | 'bicubic'
  /** Per channel, for pixels from 0 to 1: (v - mean) / std. */
  mean: [number, number, number]
  std: [number, number, number]
}

/** Mean and deviation that timm and torchvision use for ImageNet. */
const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const
/** Of the full CIFAR-10 training set. */
const cifar10 = { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] } as const

/** For networks with small inputs (up to 64 pixels) the input's size and CIFAR-10's colours; else resize to 8/7 of the input and ImageNet's. */
export function defaultPreprocessing(spec: ModelSpec): Preprocessing {
  const { size } = spec.input
  const { mean, std } = size <= 64 ? cifar10 : imagenet
  const resize = size <= 64 ? size : Math.round((size * 256) / 224)
  return { resize, crop: size, interpolation: 'bilinear', mean: [...mean], std: [...std] }
}

/** `value` as a Preprocessing; throws ERR_SKNET_OPTION. */
export function checkPreprocessing(value: unknown): Preprocessing {
  const given = isObject(value) ? value : {}
  const three = (key: string, positive: boolean) => {
    const items = list(`preprocessing.${key}`, given[key], (o, v) => number(o, v, positive ? { min: 1e-6 } : {}), { min: 3, max: 3 })
    return items as [number, number, number]
  }
  return {
    resize: integer('preprocessing.resize', given.resize, { min: 0, max: 16384 }),
    crop: integer('preprocessing.crop', given.crop, { min: 1, max: 16384 }),
    interpolation: oneOf('preprocessing.interpolation', given.interpolation, ['bilinear', 'bicubic']),
    mean: three('mean', false),
    std: three('std', true),
  }
}

export function evaluationTransform({ resize, crop, interpolation, mean, std }: Preprocessing): TransformOptions {
  const unused = { pad: 0, area: [1, 1] as [number, number], aspect: [1, 1] as [number, number], flip: 0 }
  return { geometry: 'resize_crop', height: crop, width: crop, resize, interpolation, mean, std, ...unused }
}
