/** Images that cannot be read: each is told once, and a run may meet only so many different ones. */
import { SknetError } from '../errors.js'
import type { BadSample } from '../native.js'
import type { WarningEvent } from './events.js'
import type { BadSampleRecord } from './state.js'

/**
 * Files a run may meet.
 * @param budget a share of the images below 1, else a count; null: max(10, 0.01 %)
 */
export function badSampleLimit(budget: number | null, images: number): number {
  if (budget === null) return Math.max(10, Math.floor(images * 1e-4))
  return budget < 1 ? Math.floor(budget * images) : budget
}

/** Those of `bad`, met in `epoch`, that are not in `known` yet, in order, each once. */
export function newBadSamples(
  known: readonly BadSampleRecord[],
  bad: readonly BadSample[],
  split: 'train' | 'val',
  epoch: number,
): BadSampleRecord[] {
  const seen = new Set(known.filter((record) => record.split === split).map((record) => record.index))
  const fresh: BadSampleRecord[] = []
  for (const { index, path, reason } of bad) {
    if (seen.has(index)) continue
    seen.add(index)
    fresh.push({ index, path, reason, split, epoch })
  }
  return fresh
}

export function badSampleWarning({ path, reason }: BadSampleRecord): WarningEvent {
  return { type: 'warning', about: 'bad-sample', message: `${path}: ${reason}`, path, reason }
}

/** Throws ERR_SKNET_BAD_SAMPLES when there are more than `limit`. */
export function checkBadSamples(records: readonly BadSampleRecord[], limit: number): void {
  if (records.length <= limit) return
  const { path, reason } = records.at(-1)!
  throw new SknetError(
    'ERR_SKNET_BAD_SAMPLES',
    `${records.length} images cannot be read, ${limit} are allowed; the last one: ${path}: ${reason}`,
    {
      option: 'data.badSampleBudget',
      path,
      got: records.length,
      expected: `at most ${limit} unreadable images`,
      hint: 'Repair or remove them, or raise data.badSampleBudget; events.ndjson lists every one',
    },
  )
}
