/** What a path given as weights stands for: a weights file, a model folder, a checkpoint, or a run with checkpoints. */
import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readCheckpoint, scanCheckpoints } from '../checkpoint/checkpoint.js'
import { configOfMetadata, readModelFolder, specOfMetadata } from '../checkpoint/model-folder.js'
import type { FolderConfig } from '../checkpoint/model-folder.js'
import type { SafeTensor } from '../checkpoint/safetensors.js'
import { readWeightsFile } from '../checkpoint/weights-file.js'
import type { WeightsFormat } from '../checkpoint/weights-file.js'
import { SknetError } from '../errors.js'
import type { CaffeFacts } from './caffe.js'
import { tensorInfos } from './tensors.js'
import { checkSpec } from './validate.js'
import type { ModelSpec } from './spec.js'

export interface StoredModel {
  /** The file or folder that was read, such as the checkpoint found in a run. */
  path: string
  format: WeightsFormat
  /** null for a file that carries none, such as one of timm's. */
  spec: ModelSpec | null
  config: FolderConfig
  tensors: ReadonlyMap<string, SafeTensor>
  /** Of a .caffemodel: what its layers say besides. */
  caffe?: CaffeFacts
  skipped: { path: string; reason: string }[]
}

/**
 * Reads weights wherever they are; of a run the newest whole checkpoint, and of a checkpoint the average where one is kept.
 * Throws ERR_SKNET_WEIGHTS for a path that holds none, ERR_SKNET_FORMAT, ERR_SKNET_CHECKPOINT_INVALID.
 */
export async function readStored(path: string): Promise<StoredModel> {
  const kind = await kindOf(path)
  switch (kind) {
    case 'file': {
      const { metadata, ...file } = await readWeightsFile(path)
      const spec = specOfMetadata(metadata)
      return { path, ...file, spec: spec === null ? null : checkSpec(spec), config: configOfMetadata(metadata), skipped: [] }
    }
    case 'model folder': {
      const { spec, config, tensors } = await readModelFolder(path)
      return { path, format: 'safetensors', spec: checkSpec(spec), config, tensors, skipped: [] }
    }
    case 'checkpoint':
      return { ...(await fromCheckpoint(path)), skipped: [] }
    case 'run':
    case 'checkpoints': {
      const dir = kind === 'run' ? join(path, 'checkpoints') : path
      const { newest, skipped } = await scanCheckpoints(dir)
      if (newest !== null) return { ...(await fromCheckpoint(newest.path)), skipped }
      const reasons = skipped.map((s) => `${basename(s.path)}: ${s.reason}`).join('; ')
      const details = { path: dir, got: skipped, expected: 'at least one whole checkpoint' }
      if (skipped.length > 0) throw new SknetError('ERR_SKNET_CHECKPOINT_INVALID', `No checkpoint in ${dir} is whole (${reasons})`, details)
      throw new SknetError('ERR_SKNET_WEIGHTS', `${dir} holds no checkpoint yet`, details)
    }
  }
}

async function fromCheckpoint(path: string): Promise<Omit<StoredModel, 'skipped'>> {
  const stored = await readCheckpoint(path)
  const spec = checkSpec(stored.spec)
  const tensors = new Map<string, SafeTensor>()
  for (const { name, shape } of tensorInfos(spec)) {
    const data = stored.ema?.get(name) ?? stored.values.get(name)
    if (data !== undefined) tensors.set(name, { dtype: 'F32', shape: [...shape], data })
  }
  return { path, format: 'safetensors', spec, config: stored.config, tensors }
}

async function kindOf(path: string): Promise<'file' | 'model folder' | 'checkpoint' | 'run' | 'checkpoints'> {
  const details = { path, expected: 'a weights file, a model folder, a checkpoint or a run' }
  const found = await stat(path).catch((cause: unknown) => {
    throw new SknetError('ERR_SKNET_WEIGHTS', `${path} cannot be read: ${(cause as Error).message}; expected ${details.expected}`, {
      ...details,
      cause,
    })
  })
  if (!found.isDirectory()) return 'file'
  const has = (name: string) =>
    stat(join(path, name)).then(
      () => true,
      () => false,
    )
  if ((await has('manifest.json')) || (await has('state.safetensors'))) return 'checkpoint'
  if (await has('model.safetensors')) return 'model folder'
  if (await has('checkpoints')) return 'run'
  const { newest, skipped } = await scanCheckpoints(path)
  if (newest !== null || skipped.length > 0) return 'checkpoints'
  throw new SknetError('ERR_SKNET_WEIGHTS', `${path} is a folder without weights; expected ${details.expected}`, details)
}
