/** Finding where a run goes on from, and putting the folder into the state that belongs to that place. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { copyAsBest, readCheckpoint, scanCheckpoints } from '../checkpoint/checkpoint.js'
import { SknetError } from '../errors.js'
import type { Model } from '../model/model.js'
import { trimResults, type RunFolder } from './run-folder.js'
import { checkSameRun, type RunIdentity, type RunState } from './state.js'

type Tensors = ReadonlyMap<string, Float32Array>

/** The checkpoint that a run goes on from, read and found to belong to it. */
export interface Resumed {
  path: string
  /** Newer ones that are not whole. */
  skipped: { path: string; reason: string }[]
  state: RunState
  isa: string
  device: string
  kernels: RunIdentity['kernels'] | null
  values: Tensors
  momentum: Tensors
  ema: Tensors | null
}

/**
 * The newest whole checkpoint of the folder, null for a folder without any.
 * @throws ERR_SKNET_RUN when it belongs to another run, ERR_SKNET_CHECKPOINT_INVALID when there are checkpoints and none is whole
 */
export async function findResumable(folder: RunFolder, model: Model, identity: RunIdentity): Promise<Resumed | null> {
  const { newest, skipped } = await scanCheckpoints(folder.checkpoints)
  if (newest === null && skipped.length > 0) {
    const { path, reason } = skipped[0]!
    throw new SknetError(
      'ERR_SKNET_CHECKPOINT_INVALID',
      `None of the ${skipped.length} checkpoints of the run is whole; the newest, ${path}: ${reason}`,
      {
        path,
        got: reason,
        expected: 'a whole checkpoint',
        hint: 'Use fresh (--fresh) to start anew, or another run folder',
      },
    )
  }
  if (newest === null) return null
  const { spec, values, momentum, ema, state } = await readCheckpoint(newest.path)
  const stored = state as unknown as RunState & RunIdentity
  checkSameRun(folder.dir, stored, spec, identity, model.spec)
  const { step, epoch, cursor, sums, loss, lastEpoch, best, progress, badSamples, seconds, waitSeconds, result } = stored
  return {
    path: newest.path,
    skipped,
    state: { step, epoch, cursor, sums, loss, lastEpoch, best, progress, badSamples, seconds, waitSeconds, result },
    isa: stored.isa,
    device: stored.device ?? 'cpu', // runs of versions before there was a choice
    kernels: stored.kernels ?? null,
    values,
    momentum,
    ema,
  }
}

/** A kill may have come between a checkpoint and its copy in best/, and between a row of results and its checkpoint. */
export async function settleResumed(folder: RunFolder, { path, state }: Resumed): Promise<void> {
  if (state.best?.step === state.step && state.cursor === 0 && (await stepOfBest(folder)) !== state.step) await copyAsBest(path, folder.dir)
  await trimResults(folder, state.epoch)
}

async function stepOfBest(folder: RunFolder): Promise<unknown> {
  const text = await readFile(join(folder.best, 'config.json'), 'utf8').catch(() => 'null')
  return (JSON.parse(text) as { step?: unknown } | null)?.step
}
