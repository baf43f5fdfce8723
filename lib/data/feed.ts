/** Answering a native loader's requests for samples with the user's own code, on the event loop and without ever blocking it. */
import type { FedSample, Loader } from '../native.js'

/** Where one loader's samples come from. */
export interface SampleReader {
  /** The sample, or why there is none; never rejects. Called in the order of the requests. */
  read(index: number): Promise<FedSample>
  /** Samples of this chunk are going to be read. */
  readAhead?(chunk: number): void
  /** The loader has ended. */
  close(): void
}

/**
 * Answers `loader` until it ends or is disposed, at most `concurrency` reads at a time. The loader asks for the batches it prepares ahead and
 * no more, so a slow network stays as slow and memory as small as it is.
 */
export async function feedLoader(loader: Loader, reader: SampleReader, concurrency: number): Promise<void> {
  const waiting: { ticket: number; index: number }[] = []
  let next = 0
  let running = 0
  const serve = async (ticket: number, index: number): Promise<void> => {
    supply(loader, ticket, await reader.read(index))
    running--
    start()
  }
  const start = (): void => {
    for (; running < concurrency && next < waiting.length; running++) {
      const { ticket, index } = waiting[next++]!
      void serve(ticket, index)
    }
    if (next === waiting.length) waiting.length = next = 0
  }
  try {
    for (let wanted = await loader.requests(); wanted !== null; wanted = await loader.requests()) {
      const { tickets, indices, ahead } = wanted
      if (reader.readAhead !== undefined) for (const chunk of ahead) reader.readAhead(chunk)
      tickets.forEach((ticket, i) => waiting.push({ ticket, index: indices[i]! }))
      start()
    }
  } catch {
    // The loader was disposed; whoever asked it for batches has been told.
  } finally {
    reader.close()
  }
}

/** A sample that the native side refuses is a bad one. */
function supply(loader: Loader, ticket: number, sample: FedSample): void {
  try {
    loader.supply(ticket, sample)
  } catch (error) {
    loader.supply(ticket, { ...('path' in sample && sample.path !== undefined ? { path: sample.path } : {}), fault: reasonOf(error) })
  }
}

export function reasonOf(error: unknown): string {
  const reason = error instanceof Error ? error.message : String(error)
  return reason === '' ? 'an error without a message' : reason
}
