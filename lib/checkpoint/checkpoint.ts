/**
 * Checkpoints of a run (DESIGN 9): a folder `step-NNNNNNNN/` with the model, the training state and a manifest of hashes. It appears under its
 * name only when all of it is on the disk, so a kill or a power cut leaves the older ones as they were.
 */
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject } from '../check.js'
import { SknetError } from '../errors.js'
import { ioError, readHashed, removeStale, syncFolder, temporaryName, writeNew } from './files.js'
import type { Digest } from './files.js'
import { checkpointFiles, MANIFEST, manifestText, readManifest } from './manifest.js'
import type { CheckpointFile } from './manifest.js'
import { modelMetadata, specOfMetadata, writeModelFolder } from './model-folder.js'
import type { FolderConfig, StoredSpec } from './model-folder.js'
import { encodeSafetensors, readSafetensorsFile, toFloat32 } from './safetensors.js'
import type { SafeTensor } from './safetensors.js'
import { checkpointName, DISPLACED, verifyCheckpoint } from './scan.js'

export { findCheckpoint, pruneCheckpoints, scanCheckpoints, verifyCheckpoint } from './scan.js'

type Tensors = ReadonlyMap<string, Float32Array>

export interface CheckpointContent {
  /** The model's spec, as plain data. */
  spec: StoredSpec
  /** Names and shapes of the model's tensors: model.tensors(). */
  tensors: readonly { name: string; shape: number[] }[]
  /** Weights and running statistics. */
  values: Tensors
  momentum: Tensors
  /** Absent or null where the run keeps no average. */
  ema?: Tensors | null
  /** Step, epoch, cursor, seed, recipe, versions, kernel choices: anything JSON. */
  state: object
  /** Class names and preprocessing, for the model folders made from it. */
  config?: FolderConfig
}

export interface StoredCheckpoint {
  path: string
  step: number
  /** As written; its reader checks it. */
  spec: StoredSpec
  values: Map<string, Float32Array>
  momentum: Map<string, Float32Array>
  ema: Map<string, Float32Array> | null
  state: Record<string, unknown>
  config: FolderConfig
}

/**
 * Writes `dir/step-NNNNNNNN/` and returns its path; `dir` is made where it is missing, and leftovers of killed processes in it are removed.
 * Throws ERR_SKNET_CHECKPOINT_IO naming path and cause (no space, no permission); older checkpoints are then as they were.
 */
export async function writeCheckpoint(dir: string, step: number, content: CheckpointContent): Promise<string> {
  const path = join(dir, checkpointName(step))
  const temporary = join(dir, temporaryName())
  try {
    await mkdir(dir, { recursive: true })
    await removeStale(dir)
    await restoreDisplaced(dir)
    await mkdir(temporary)
    const files = {} as Record<CheckpointFile, Digest>
    for (const [name, parts] of checkpointParts(step, content)) files[name] = await writeNew(join(temporary, name), parts)
    await writeNew(join(temporary, MANIFEST), [new TextEncoder().encode(manifestText(step, files))])
    await syncFolder(temporary)
    await place(temporary, path, files)
    await syncFolder(dir)
    return path
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined)
    throw await ioError(path, 'Cannot write the checkpoint', cause)
  }
}

/** Reads a checkpoint, checking sizes and hashes of what is read. Throws ERR_SKNET_CHECKPOINT_INVALID naming the file that is not whole. */
export async function readCheckpoint(path: string): Promise<StoredCheckpoint> {
  const manifest = await readManifest(path)
  if (typeof manifest === 'string') throw invalid(path, manifest)
  const contents = {} as Record<CheckpointFile, Uint8Array>
  for (const name of checkpointFiles) contents[name] = await readChecked(path, name, manifest.files[name])
  const model = await readSafetensorsFile(contents['model.safetensors'], join(path, 'model.safetensors'))
  const state = await readSafetensorsFile(contents['state.safetensors'], join(path, 'state.safetensors'))
  const spec = specOfMetadata(model.metadata)
  if (spec === null) throw invalid(path, 'model.safetensors carries no spec')
  const ema = section(state.tensors, 'ema.')
  return {
    path,
    step: manifest.step,
    spec,
    values: section(model.tensors, ''),
    momentum: section(state.tensors, 'momentum.'),
    ema: ema.size > 0 ? ema : null,
    ...parseState(path, contents['state.json']),
  }
}

/** Writes `runDir/best/` from a checkpoint: a model folder with the weights the run is judged by, the average where one is kept. */
export async function copyAsBest(checkpointPath: string, runDir: string): Promise<string> {
  const { path, step, spec, values, ema, config } = await readCheckpoint(checkpointPath)
  const model = await readSafetensorsFile(join(path, 'model.safetensors'))
  const tensors = new Map([...model.tensors].map(([name, { shape }]) => [name, f32(shape, ema?.get(name) ?? values.get(name)!)] as const))
  const best = join(runDir, 'best')
  await writeModelFolder(best, spec, tensors, { ...config, step })
  return best
}

function checkpointParts(step: number, content: CheckpointContent): [CheckpointFile, Uint8Array[]][] {
  const { spec, values, momentum, ema, state, config } = content
  const model = new Map<string, SafeTensor>()
  const training = new Map<string, SafeTensor>()
  for (const { name, shape } of content.tensors) {
    const value = values.get(name)
    if (value === undefined) {
      throw new SknetError('ERR_SKNET_INTERNAL', `The checkpoint lacks the values of ${name}`, { tensor: name, expected: 'all tensors' })
    }
    model.set(name, f32(shape, value))
    for (const [prefix, tensors] of [
      ['momentum', momentum],
      ['ema', ema],
    ] as const) {
      const data = tensors?.get(name)
      if (data !== undefined) training.set(`${prefix}.${name}`, f32(shape, data))
    }
  }
  const json = JSON.stringify({ format: 'sknet-state-1', step, state, config: config ?? {} }, null, 2)
  return [
    ['model.safetensors', encodeSafetensors(model, modelMetadata(spec))],
    ['state.safetensors', encodeSafetensors(training)],
    ['state.json', [new TextEncoder().encode(`${json}\n`)]],
  ]
}

/** Gives the finished folder its name. One of the same step is kept where it is whole and the same, and replaced where it is not. */
async function place(temporary: string, path: string, files: Record<CheckpointFile, Digest>): Promise<void> {
  if (!(await exists(path))) return rename(temporary, path)
  const manifest = await readManifest(path)
  const same = typeof manifest !== 'string' && checkpointFiles.every((name) => manifest.files[name].sha256 === files[name].sha256)
  if (same && (await verifyCheckpoint(path)).ok) return rm(temporary, { recursive: true })
  await rename(path, path + DISPLACED)
  await rename(temporary, path)
  await rm(path + DISPLACED, { recursive: true })
}

/** A kill inside `place` may have left the old checkpoint under its other name. */
async function restoreDisplaced(dir: string): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!name.endsWith(DISPLACED) || !name.startsWith('step-')) continue
    const path = join(dir, name.slice(0, -DISPLACED.length))
    if (await exists(path)) await rm(join(dir, name), { recursive: true })
    else await rename(join(dir, name), path)
  }
}

async function readChecked(path: string, name: CheckpointFile, expected: Digest): Promise<Uint8Array> {
  const { bytes, digest } = await readHashed(join(path, name)).catch((cause: unknown) => {
    throw invalid(path, `${name} cannot be read: ${(cause as Error).message}`, cause)
  })
  if (digest.size !== expected.size) throw invalid(path, `${name} has ${digest.size} bytes; expected ${expected.size}`)
  if (digest.sha256 !== expected.sha256) throw invalid(path, `${name} was changed: its SHA-256 does not match`)
  return bytes
}

function parseState(path: string, bytes: Uint8Array): Pick<StoredCheckpoint, 'state' | 'config'> {
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
  if (!isObject(value) || value.format !== 'sknet-state-1' || !isObject(value.state)) throw invalid(path, 'state.json has another format')
  return { state: value.state, config: isObject(value.config) ? value.config : {} }
}

function section(tensors: ReadonlyMap<string, SafeTensor>, prefix: string): Map<string, Float32Array> {
  const own = [...tensors].filter(([name]) => name.startsWith(prefix))
  return new Map(own.map(([name, tensor]) => [name.slice(prefix.length), toFloat32(tensor, name)]))
}

function f32(shape: number[], data: Float32Array): SafeTensor {
  return { dtype: 'F32', shape, data }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

function invalid(path: string, problem: string, cause?: unknown): SknetError {
  const details = { path, got: problem, expected: 'a whole checkpoint', ...(cause === undefined ? {} : { cause }) }
  return new SknetError('ERR_SKNET_CHECKPOINT_INVALID', `${path} is not whole: ${problem}`, details)
}
