/**
 * A model folder: `model.safetensors` (weights and running statistics, the spec in its metadata), `config.json` (spec, names, preprocessing, what is
 * known of the weights) and `README.md`, the same for people.
 */
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isObject } from '../check.js'
import { ioError, replaceFile, syncFolder, temporaryName, writeNew } from './files.js'
import { CARD_MARK, modelCard } from './model-card.js'
import { encodeSafetensors, readSafetensorsFile } from './safetensors.js'
import type { SafeTensor } from './safetensors.js'
import { formatError } from './safetensors-header.js'

/** A model's spec as far as this room knows it; lib/model checks the rest. */
export interface StoredSpec {
  arch: string
  classes: number
}

/** What goes with the weights; everything else in it is kept as it is. */
export interface FolderConfig {
  classNames?: unknown
  preprocessing?: unknown
  /** How the weights came to be: recipe, metrics, source. */
  info?: unknown
  [key: string]: unknown
}

export interface ModelFolder {
  spec: StoredSpec
  config: FolderConfig
  tensors: Map<string, SafeTensor>
}

const FORMAT = 'sknet-model-folder-1'
const SPEC_KEY = 'sknet.spec'
const CONFIG_KEY = 'sknet.config'

/** Metadata of a weights file: the spec, what PyTorch's tools look for, and (for a file that stands alone) names and preprocessing. */
export function modelMetadata(spec: StoredSpec, config?: FolderConfig): Record<string, string> {
  return { format: 'pt', [SPEC_KEY]: JSON.stringify(spec), ...(config === undefined ? {} : { [CONFIG_KEY]: JSON.stringify(config) }) }
}

/** Names and preprocessing in a file's metadata; empty where there are none that can be read. */
export function configOfMetadata(metadata: ReadonlyMap<string, string>): FolderConfig {
  const value = parsed(metadata.get(CONFIG_KEY))
  return isObject(value) ? value : {}
}

/** The spec in a file's metadata, or null where it has none that can be read. */
export function specOfMetadata(metadata: ReadonlyMap<string, string>): StoredSpec | null {
  return asSpec(parsed(metadata.get(SPEC_KEY)))
}

/**
 * Writes or replaces a model folder. A new one appears whole; in one that exists the files are replaced one after the other. Other files in
 * it stay. Throws ERR_SKNET_CHECKPOINT_IO.
 */
export async function writeModelFolder(
  dir: string,
  spec: StoredSpec,
  tensors: ReadonlyMap<string, SafeTensor>,
  config: FolderConfig,
): Promise<void> {
  const weights = encodeSafetensors(tensors, modelMetadata(spec))
  const { arch, classes } = spec
  const { classNames, preprocessing, info } = config
  const json = JSON.stringify({ format: FORMAT, arch, classes, ...config, spec }, null, 2)
  const write = async (folder: string, put: typeof writeNew): Promise<void> => {
    const files = {
      'model.safetensors': await put(join(folder, 'model.safetensors'), weights),
      'config.json': await put(join(folder, 'config.json'), [new TextEncoder().encode(`${json}\n`)]),
    }
    const card = join(folder, 'README.md')
    if (!(await isOurs(card))) return
    await put(card, [new TextEncoder().encode(modelCard({ arch, classes, classNames, preprocessing, info, files }))])
  }
  if (await exists(dir)) return write(dir, replaceFile)
  const parent = dirname(dir)
  const temporary = join(parent, temporaryName())
  try {
    await mkdir(temporary, { recursive: true })
    await write(temporary, writeNew)
    await syncFolder(temporary)
    await rename(temporary, dir)
    await syncFolder(parent)
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined)
    throw await ioError(dir, 'Cannot write the model folder', cause)
  }
}

/** Throws ERR_SKNET_FORMAT where a file is missing or damaged, or where the two are of different models (a save was cut short). */
export async function readModelFolder(dir: string): Promise<ModelFolder> {
  const path = join(dir, 'config.json')
  let config: unknown
  try {
    config = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw formatError(path, `cannot be read: ${(cause as Error).message}`, { expected: "a model folder's config.json", cause })
  }
  const { format, spec: rawSpec, ...rest } = isObject(config) ? config : {}
  if (format !== FORMAT) {
    const newer = typeof format === 'string' && /^sknet-model-folder-\d+$/.test(format)
    const hint = newer ? { hint: 'The folder was written by a newer version; upgrade sknet' } : {}
    throw formatError(path, `the format is ${JSON.stringify(format)}${newer ? '; upgrade sknet' : ''}`, {
      got: format,
      expected: `'${FORMAT}'`,
      ...hint,
    })
  }
  const spec = asSpec(rawSpec)
  if (spec === null) throw formatError(path, 'there is no spec', { got: rawSpec, expected: 'a spec' })
  const { metadata, tensors } = await readSafetensorsFile(join(dir, 'model.safetensors'))
  const carried = metadata.get(SPEC_KEY)
  if (carried !== undefined && carried !== JSON.stringify(rawSpec)) {
    throw formatError(dir, 'config.json and model.safetensors are of different models; a save was cut short', {
      expected: 'two files of one model',
    })
  }
  return { spec, config: rest, tensors }
}

function asSpec(value: unknown): StoredSpec | null {
  return isObject(value) && typeof value.arch === 'string' && typeof value.classes === 'number' ? (value as unknown as StoredSpec) : null
}

function parsed(json: string | undefined): unknown {
  if (json === undefined) return undefined
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** Whether a README.md may be written: there is none, or one that was written here. */
async function isOurs(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? CARD_MARK : ''))
  return text.startsWith(CARD_MARK)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
