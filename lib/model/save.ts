/** Writing a model to a file or a folder. */
import { badOption, knownKeys, oneOf, optional } from '../check.js'
import { modelMetadata, writeModelFolder } from '../checkpoint/model-folder.js'
import { writeSafetensors } from '../checkpoint/safetensors.js'
import type { SafeTensor } from '../checkpoint/safetensors.js'
import type { Preprocessing } from './preprocessing.js'
import type { ModelSpec } from './spec.js'
import { tensorInfos } from './tensors.js'

export interface SaveOptions {
  /** The names of the tensors; timm's are our own. */
  names?: 'timm'
}

export interface SavedModel {
  spec: ModelSpec
  classNames: string[] | undefined
  preprocessing: Preprocessing
  weights: ReadonlyMap<string, Float32Array>
}

/** See Model.save. */
export async function saveModel(path: string, options: SaveOptions, model: SavedModel): Promise<void> {
  const given = knownKeys('', options, ['names'])
  optional(given.names, 'timm', (v) => oneOf('names', v, ['timm']))
  if (typeof path !== 'string' || path === '') badOption('path', path, 'a path')
  const { spec, classNames, preprocessing } = model
  const tensors = new Map<string, SafeTensor>(
    tensorInfos(spec).map(({ name, shape }) => [name, { dtype: 'F32', shape, data: model.weights.get(name)! }]),
  )
  const config = { ...(classNames === undefined ? {} : { classNames }), preprocessing }
  if (path.endsWith('.safetensors')) return writeSafetensors(path, tensors, modelMetadata(spec, config))
  await writeModelFolder(path, spec, tensors, config)
}
