/** Reading packed shards again, to see that they still are what was packed. */
import { join } from 'node:path'
import { SknetError } from '../errors.js'
import { awaitNative } from '../native.js'
import { badData, isFolder, statPath } from './folder.js'
import { packManifest, readPackManifest } from './pack-manifest.js'
import { indexOf } from './packed.js'

export interface VerifiedFile {
  path: string
  samples: number
  bytes: number
  /** What is wrong, null when all is well. */
  fault: string | null
}

/** The folders below `dir` that hold a packing: itself, train/ and val/. Throws ERR_SKNET_DATA where there is none. */
export function packedFolders(dir: string): string[] {
  const found = [dir, join(dir, 'train'), join(dir, 'val')].filter((at) => isFolder(at) && statPath(join(at, packManifest)) !== undefined)
  if (found.length === 0) badData(dir, `no ${packManifest}`, 'a folder that sknet pack has written, to the end')
  return found
}

/** Every shard that the pack.json of a folder lists: its archive against its index, classes and checksums included. */
export async function* verifyPacked(folder: string): AsyncGenerator<VerifiedFile, void, void> {
  for (const { name, bytes, samples } of readPackManifest(folder)!.shards) {
    const path = join(folder, name)
    const found = await awaitNative((binding) => binding.verifyShard(path, indexOf(path), false)).catch((error: unknown) => {
      if (error instanceof SknetError && error.code === 'ERR_SKNET_DATA') return error
      throw error
    })
    if (found instanceof SknetError) yield { path, samples, bytes, fault: found.message }
    else if (found.samples !== samples || found.bytes !== bytes) {
      yield {
        path,
        samples,
        bytes,
        fault: `it has ${found.samples} samples in ${found.bytes} bytes, ${packManifest} says ${samples} in ${bytes}`,
      }
    } else yield { path, samples, bytes, fault: null }
  }
}
