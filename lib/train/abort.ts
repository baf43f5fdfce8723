/** The error of a run that was asked to stop, in the shape Node's own functions use. */

export interface AbortError extends Error {
  name: 'AbortError'
  code: 'ABORT_ERR'
}

/** `cause` is the signal's reason. */
export function abortError(signal: AbortSignal, checkpoint: string | null): AbortError {
  const saved = checkpoint === null ? '' : `; the state is in ${checkpoint}`
  const error = new Error(`Training was aborted${saved}`, { cause: signal.reason as unknown })
  return Object.assign(error, { name: 'AbortError' as const, code: 'ABORT_ERR' as const })
}

export function isAbortError(error: unknown): error is AbortError {
  return error instanceof Error && error.name === 'AbortError'
}

/** Awaits native work and calls `cancel` when the signal fires meanwhile. */
export async function cancellable<T>(signal: AbortSignal, cancel: () => void, work: () => Promise<T>): Promise<T> {
  signal.addEventListener('abort', cancel, { once: true })
  try {
    return await work()
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}
