/** Which data set a path holds, for `--data`. */
import { text } from '../check.js'
import { cifar10, cifar100, detectCifar } from './cifar.js'
import type { Dataset, Split } from './dataset.js'
import { badData, readFolder, statPath } from './folder.js'
import { folderSplits, imageFolder } from './image-folder.js'
import type { ImageFolderOptions } from './image-folder.js'
import { packed } from './packed.js'
import { parquetFolder } from './parquet.js'
import { splitFiles } from './split-files.js'

export interface DetectedDataset {
  kind: 'cifar10' | 'cifar100' | 'image-folder' | 'shards' | 'parquet'
  /** Missing where the folder has no such files. */
  train?: Dataset
  val?: Dataset
}

const supported =
  'a folder with CIFAR binaries (data_batch_*.bin, train.bin, test_batch.bin, test.bin), with a folder of images a class, with tar shards or with parquet files'

/**
 * Recognises CIFAR-10 and CIFAR-100 binaries by name and record size, tar shards and parquet files by their ending, and ImageFolder. A folder of class folders
 * without train/ and val/ is both splits, as are shards that do not say which they are of. `splits` restricts what is opened (eval needs only 'val'). Throws ERR_SKNET_DATA naming what was found.
 */
export async function detectDataset(
  path: string,
  options: Omit<ImageFolderOptions, 'split'> = {},
  splits: readonly Split[] = ['train', 'val'],
): Promise<DetectedDataset> {
  text('data', path)
  const stat = statPath(path)
  if (stat === undefined) badData(path, 'nothing', supported)
  const shards = splitsOf(splitFiles(path, '.tar'))
  if (shards.length > 0) return opened('shards', wanted(path, shards, splits), (split) => packed(path, { split }))
  const tables = splitsOf(splitFiles(path, '.parquet'))
  if (tables.length > 0) return opened('parquet', wanted(path, tables, splits), (split) => parquetFolder(path, { split }))
  if (!stat.isDirectory()) badData(path, 'a file', supported)
  const cifar = detectCifar(path)
  if (cifar !== null) {
    const open = cifar.kind === 'cifar10' ? cifar10 : cifar100
    return opened(cifar.kind, wanted(path, cifar.splits, splits), (split) => open(path, { split }))
  }
  const entries = readFolder(path)
  if (entries.length === 0) badData(path, 'an empty folder', supported)
  return opened('image-folder', wanted(path, folderSplits(path), splits), (split) => imageFolder(path, { ...options, split }))
}

function splitsOf(found: Partial<Record<Split, unknown>>): Split[] {
  return (['train', 'val'] as const).filter((split) => found[split] !== undefined)
}

function wanted(path: string, found: Split[], asked: readonly Split[]): Split[] {
  const both = found.filter((split) => asked.includes(split))
  if (both.length === 0) badData(path, `${found.join(' and ')} data only`, `${asked.join(' or ')} data`)
  return both
}

async function opened(
  kind: DetectedDataset['kind'],
  splits: Split[],
  open: (split: Split) => Dataset | Promise<Dataset>,
): Promise<DetectedDataset> {
  const found: DetectedDataset = { kind }
  for (const split of splits) found[split] = await open(split)
  return found
}
