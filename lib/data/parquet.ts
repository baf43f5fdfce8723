/**
 * Folders of parquet files as model hubs publish them: a column of pictures (a struct with `bytes`, or bytes), a column of class indices. Read with
 * hyparquet, which is loaded only here, when there is such a file.
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { AsyncBuffer, FileMetaData, RowGroup as FileRowGroup, SchemaElement } from 'hyparquet'
import { integer, isObject, knownKeys, list, oneOf, optional, text } from '../check.js'
import { createDataset, numberedClasses, photoDefaults, splitNames, toSplit } from './dataset.js'
import type { Dataset, Split, SplitName } from './dataset.js'
import { feedLoader, reasonOf } from './feed.js'
import { badData, unreadable } from './folder.js'
import { defaultMaxPixels } from './image-folder.js'
import type { FolderSplits } from './image-folder.js'
import { parquetReader, parquetWindowBytes } from './parquet-reader.js'
import type { RowGroup } from './parquet-reader.js'
import { filesOfSplit, splitFiles } from './split-files.js'
import type { SplitFiles } from './split-files.js'

export interface ParquetOptions {
  split?: SplitName
  /** Column of the pictures; default: the first that is a struct with `bytes`, else `image` or `img`. */
  imageColumn?: string
  /** Column of the class indices; default: `label`, `labels`, `fine_label` or `cls`. */
  labelColumn?: string
  /** Default 100 million. */
  maxPixels?: number
  /** Names of the classes, by index; default: those that the files' metadata holds, else their numbers. */
  classNames?: readonly string[]
}

const labelColumns = ['label', 'labels', 'fine_label', 'cls']
const imageColumns = ['image', 'img']
/** A row group is decoded as a whole. */
const largestGroup = 2 ** 30

/**
 * One split if asked for, else both, told apart as splitFiles does. Samples are shuffled within windows of row groups. Footers and labels are read
 * here, pictures while the loader asks for them. Throws ERR_SKNET_DATA naming the file.
 */
export async function parquetFolder(path: string, options: ParquetOptions & { split: SplitName }): Promise<Dataset>
export async function parquetFolder(path: string, options?: ParquetOptions & { split?: undefined }): Promise<FolderSplits>
export async function parquetFolder(path: string, options?: ParquetOptions): Promise<Dataset | FolderSplits> {
  text('path', path)
  const given = knownKeys('', options, ['split', 'imageColumn', 'labelColumn', 'maxPixels', 'classNames'])
  const settings = {
    image: optional<string | null>(given.imageColumn, null, (value) => text('imageColumn', value)),
    label: optional<string | null>(given.labelColumn, null, (value) => text('labelColumn', value)),
    maxPixels: optional(given.maxPixels, defaultMaxPixels, (value) => integer('maxPixels', value, { min: 1, max: 2 ** 31 - 1 })),
    classNames: optional<string[] | null>(given.classNames, null, (value) => list('classNames', value, text)),
  }
  const openOne = (split: Split) => openSplit(filesOfSplit(path, '.parquet', split), split, settings)
  if (given.split !== undefined) return openOne(toSplit(oneOf('split', given.split, splitNames)))
  const { train, val } = splitFiles(path, '.parquet')
  const own = val !== undefined && val.paths.join('\n') !== train?.paths.join('\n')
  return { train: await openOne('train'), val: own ? await openOne('val') : undefined }
}

interface Settings {
  image: string | null
  label: string | null
  maxPixels: number
  classNames: string[] | null
}

async function openSplit({ folder, paths }: SplitFiles, split: Split, settings: Settings): Promise<Dataset> {
  const groups: RowGroup[] = []
  const labels: number[] = []
  let names: string[] | null = null
  for (const path of paths) {
    const file = await openFile(path, settings)
    for (const group of file.groups) groups.push({ ...group, first: group.begin + labels.length })
    for (const label of file.labels) labels.push(label)
    names ??= file.classNames
  }
  if (labels.length === 0) badData(folder, 'no rows', 'at least one picture')
  const known = Int32Array.from(labels)
  const classNames = settings.classNames ?? names ?? numberedClasses(known.reduce((most, label) => Math.max(most, label), 0) + 1)
  const facts = {
    kind: 'parquet' as const,
    path: folder,
    split,
    classes: classNames.length,
    classNames,
    size: known.length,
    imageSize: null,
    defaults: photoDefaults(),
    warnings: [],
  }
  return createDataset(
    facts,
    () => ({
      kind: 'feed',
      name: folder,
      size: known.length,
      classes: classNames.length,
      labels: known,
      maxPixels: settings.maxPixels,
      chunks: Int32Array.from(groups, ({ first }) => first),
      chunkBytes: Float64Array.from(groups, ({ bytes }) => bytes),
      windowBytes: parquetWindowBytes,
    }),
    { feed: (loader) => void feedLoader(loader, parquetReader(groups, known), 64) },
  )
}

interface ParquetFile {
  /** `first` still counts from the file's own beginning. */
  groups: RowGroup[]
  labels: number[]
  classNames: string[] | null
}

async function openFile(path: string, settings: Settings): Promise<ParquetFile> {
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  try {
    const { size, mtimeMs: modifiedMs } = await handle.stat()
    const file = bufferOf(handle, size)
    const { parquetMetadataAsync } = await import('hyparquet')
    const metadata = await parquetMetadataAsync(file).catch((error: unknown) =>
      badData(path, `no parquet file: ${reasonOf(error)}`, 'a parquet file'),
    )
    const column = settings.image ?? imageColumn(metadata)
    const columns = topColumns(metadata)
    if (column === null || !columns.includes(column))
      badData(path, `columns ${columns.join(', ')}`, `a column of pictures${column === null ? '' : `, ${column}`}`)
    const label = settings.label ?? labelColumns.find((name) => columns.includes(name))
    if (label === undefined || !columns.includes(label))
      badData(path, `columns ${columns.join(', ')}`, `a column of class indices, ${label ?? labelColumns.join(' or ')}`)
    const groups = groupsOf(path, metadata, { path, size, modifiedMs, column })
    return { groups, labels: await readLabels(path, file, metadata, label), classNames: hubNames(metadata, label) }
  } finally {
    await handle.close()
  }
}

function bufferOf(handle: FileHandle, size: number): AsyncBuffer {
  return {
    byteLength: size,
    slice: async (from, to = size) => {
      const buffer = new ArrayBuffer(Math.max(0, Math.min(to, size) - from))
      const { bytesRead } = await handle.read(new Uint8Array(buffer), 0, buffer.byteLength, from)
      if (bytesRead < buffer.byteLength) throw new Error('the file ends early')
      return buffer
    },
  }
}

/** The schema is a tree in depth-first order below a root. */
function topElements({ schema }: FileMetaData): { element: SchemaElement; children: SchemaElement[] }[] {
  const found: { element: SchemaElement; children: SchemaElement[] }[] = []
  const skip = (at: number): number => {
    let next = at + 1
    for (let i = 0; i < (schema[at]?.num_children ?? 0); i++) next = skip(next)
    return next
  }
  for (let at = 1; at < schema.length; at = skip(at)) found.push({ element: schema[at]!, children: schema.slice(at + 1, skip(at)) })
  return found
}

function topColumns(metadata: FileMetaData): string[] {
  return topElements(metadata).map(({ element }) => element.name)
}

function imageColumn(metadata: FileMetaData): string | null {
  const tops = topElements(metadata)
  const struct = tops.find(({ children }) => children.some(({ name, type }) => name === 'bytes' && type === 'BYTE_ARRAY'))
  const plain = tops.find(({ element }) => imageColumns.includes(element.name) && element.type === 'BYTE_ARRAY')
  return (struct ?? plain)?.element.name ?? null
}

function groupsOf(path: string, metadata: FileMetaData, file: Pick<RowGroup, 'path' | 'size' | 'modifiedMs' | 'column'>): RowGroup[] {
  let begin = 0
  return metadata.row_groups.flatMap((group, number) => {
    const rows = Number(group.num_rows)
    const bytes = imageBytes(group, file.column)
    if (!Number.isSafeInteger(rows) || rows < 0) badData(path, `${rows} rows in row group ${number}`, 'a number of rows')
    if (!(bytes >= 0 && bytes <= largestGroup)) {
      badData(
        path,
        `row group ${number} of ${bytes} bytes`,
        `row groups of at most ${largestGroup} bytes`,
        'Write it anew with smaller row groups',
      )
    }
    const at = begin
    begin += rows
    return rows === 0 ? [] : [{ ...file, number, begin: at, end: begin, bytes, first: at }]
  })
}

function imageBytes({ columns }: FileRowGroup, column: string): number {
  return columns.reduce((sum, { meta_data: facts }) => {
    return facts?.path_in_schema[0] === column ? sum + Number(facts.total_uncompressed_size) : sum
  }, 0)
}

async function readLabels(path: string, file: AsyncBuffer, metadata: FileMetaData, column: string): Promise<number[]> {
  const { parquetReadObjects } = await import('hyparquet')
  const { compressors } = await import('hyparquet-compressors')
  const rows = await parquetReadObjects({ file, metadata, columns: [column], compressors }).catch((error: unknown) =>
    badData(path, `a column ${column} that cannot be read: ${reasonOf(error)}`, 'class indices'),
  )
  return rows.map((row, i) => {
    const value: unknown = row[column]
    const label = typeof value === 'bigint' ? Number(value) : value
    if (Number.isSafeInteger(label) && (label as number) >= 0 && (label as number) < 2 ** 31) return label as number
    const hint = label === -1 ? 'Splits published without their labels have -1 there' : undefined
    return badData(path, `${column} ${String(value)} in row ${i}`, 'a class index of at least 0', hint)
  })
}

/** Names in the metadata that the datasets library writes. */
function hubNames(metadata: FileMetaData, label: string): string[] | null {
  const value = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value
  if (value === undefined) return null
  try {
    let found: unknown = JSON.parse(value)
    for (const key of ['info', 'features', label, 'names']) found = isObject(found) ? found[key] : undefined
    return Array.isArray(found) && found.length > 0 && found.every((name) => typeof name === 'string') ? found : null
  } catch {
    return null
  }
}
