/** Drives a fit for a command: events to people and programs, signals to an orderly stop, the end to a result and an exit code. */
import { isAbortError } from '../train/abort.js'
import type { EndEvent } from '../train/events.js'
import type { FitOptions, Trainer } from '../train/trainer.js'
import type { Output } from './output.js'
import { createReporter, resultLines } from './progress.js'
import { signalExitCodes, stopOnSignals } from './stop.js'

/** @returns the exit code and the result; errors other than a stop by signal are thrown on */
export async function runTraining(
  trainer: Trainer,
  data: Omit<FitOptions, 'signal'>,
  output: Output,
): Promise<{ code: number; end: EndEvent | null }> {
  const stop = stopOnSignals((signal) =>
    output.warn(`${signal}: stopping after this step; a second Ctrl-C ends at once, without a checkpoint`),
  )
  const reporter = createReporter(output)
  let end: EndEvent | null = null
  try {
    for await (const event of trainer.fit({ ...data, signal: stop.signal })) {
      reporter.event(event)
      if (event.type === 'end') end = event
    }
  } catch (error) {
    if (!isAbortError(error)) throw error
  } finally {
    stop.release()
  }
  const received = stop.received()
  const stopped = received !== null && end?.stopped === 'aborted'
  if (end !== null) {
    for (const line of resultLines(end)) output.say(line)
    output.emit({ ...end, type: 'result', ...(stopped ? { stopped: received } : {}) })
  }
  return { code: stopped ? signalExitCodes[received] : 0, end }
}
