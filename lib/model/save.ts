/** Writing a model to a file or a folder. */
import { badOption, knownKeys, oneOf, optional } from '../check.js'
import { modelMetadata, writeModelFolder } from '../checkpoint/model-folder.js'
import { writeSafetensors } from '../checkpoint/safetensors.js'
import type { SafeTensor } from '../checkpoint/safetensors.js'
import { namesInStyle } from './names.js'
import type { Preprocessing } from './preprocessing.js'
import type { ModelSpec } from './spec.js'
import { tensorInfos } from './tensors.js'

/** What is known of the weights, as plain data: recipe, training options, metrics, source. It stays with them. */
export type ModelInfo = Record<string, unknown>

export interface SaveOptions {
  /** Whose names the tensors of a safetensors file get; timm's are our own. */
  names?: 'timm' | 'torchvision' | 'pytorchcv'
}

export interface SavedModel {
  spec: ModelSpec
  classNames: string[] | undefined
  preprocessing: Preprocessing
  info: ModelInfo
  weights: ReadonlyMap<string, Float32Array>
}

/** See Model.save. */
export async function saveModel(path: string, options: SaveOptions, model: SavedModel): Promise<void> {
  const given = knownKeys('', options, ['names'])
  const style = optional(given.names, 'timm', (v) => oneOf('names', v, ['timm', 'torchvision', 'pytorchcv']))
  if (typeof path !== 'string' || path === '') badOption('path', path, 'a path')
  const { spec, classNames, preprocessing, info } = model
  const names = namesInStyle(spec, style) ?? badOption('names', style, `timm: ${style} has no network like ${spec.arch}`)
  if (style !== 'timm' && !path.endsWith('.safetensors')) badOption('path', path, `a path ending in .safetensors, for names of ${style}`)
  const tensors = new Map<string, SafeTensor>(
    tensorInfos(spec).map(({ name, shape }) => [names.get(name)!, { dtype: 'F32', shape, data: model.weights.get(name)! }]),
  )
  const config = { ...(classNames === undefined ? {} : { classNames }), preprocessing, ...(Object.keys(info).length > 0 ? { info } : {}) }
  if (path.endsWith('.safetensors')) return writeSafetensors(path, tensors, modelMetadata(spec, config))
  await writeModelFolder(path, spec, tensors, config)
}
