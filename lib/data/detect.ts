/** Which data set a path holds, for `--data`. */
import { extname } from 'node:path'
import { text } from '../check.js'
import { cifar10, cifar100, detectCifar } from './cifar.js'
import type { Dataset, Split } from './dataset.js'
import { badData, readFolder, statPath } from './folder.js'
import { folderSplits, imageFolder } from './image-folder.js'
import type { ImageFolderOptions } from './image-folder.js'

export interface DetectedDataset {
  kind: 'cifar10' | 'cifar100' | 'image-folder'
  /** Missing where the folder has no such files. */
  train?: Dataset
  val?: Dataset
}

const supported = 'a folder with CIFAR binaries (data_batch_*.bin, train.bin, test_batch.bin, test.bin), or with a folder of images a class'

/**
 * Recognises CIFAR-10 and CIFAR-100 binaries by name and record size, and ImageFolder. A folder of class folders without train/ and val/
 * is both splits. `splits` restricts what is opened (eval needs only 'val'). Throws ERR_SKNET_DATA naming what was found.
 */
export function detectDataset(
  path: string,
  options: Omit<ImageFolderOptions, 'split'> = {},
  splits: readonly Split[] = ['train', 'val'],
): DetectedDataset {
  text('data', path)
  const stat = statPath(path)
  if (stat === undefined) badData(path, 'nothing', supported)
  if (!stat.isDirectory()) badData(path, isTar(path) ? 'a tar file' : 'a file', supported, isTar(path) ? tarHint : undefined)
  const cifar = detectCifar(path)
  if (cifar !== null) {
    const open = cifar.kind === 'cifar10' ? cifar10 : cifar100
    return opened(cifar.kind, wanted(path, cifar.splits, splits), (split) => open(path, { split }))
  }
  const entries = readFolder(path)
  if (entries.length === 0) badData(path, 'an empty folder', supported)
  if (entries.some((entry) => entry.isFile() && isTar(entry.name))) badData(path, 'tar files', supported, tarHint)
  return opened('image-folder', wanted(path, folderSplits(path), splits), (split) => imageFolder(path, { ...options, split }))
}

const tarHint = 'Tar shards are not supported; unpack them into a folder a class.'

function isTar(name: string): boolean {
  return extname(name).toLowerCase() === '.tar'
}

function wanted(path: string, found: Split[], asked: readonly Split[]): Split[] {
  const both = found.filter((split) => asked.includes(split))
  if (both.length === 0) badData(path, `${found.join(' and ')} data only`, `${asked.join(' or ')} data`)
  return both
}

function opened(kind: DetectedDataset['kind'], splits: Split[], open: (split: Split) => Dataset): DetectedDataset {
  return { kind, ...Object.fromEntries(splits.map((split) => [split, open(split)])) }
}
