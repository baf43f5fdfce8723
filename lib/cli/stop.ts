/** Turns SIGINT and SIGTERM into an orderly stop: the first one aborts, the run writes a checkpoint, the exit code says which it was. */

export const signalExitCodes = { SIGINT: 130, SIGTERM: 143 } as const

export type StopSignal = keyof typeof signalExitCodes

export interface Stop {
  signal: AbortSignal
  /** The signal that came, null while none did. */
  received(): StopSignal | null
  /** Gives the signals back to the process. */
  release(): void
}

/** One Ctrl-C can arrive twice, from the terminal and from npx; what comes this soon after the first is the same one. */
const SAME_MILLISECONDS = 500

/** A second SIGINT ends the process at once, without a checkpoint; a second SIGTERM changes nothing. */
export function stopOnSignals(announce: (signal: StopSignal) => void): Stop {
  const controller = new AbortController()
  let first: StopSignal | null = null
  let since = 0
  const listener = (signal: NodeJS.Signals): void => {
    const stop = signal as StopSignal
    if (first !== null) {
      if (stop === 'SIGINT' && performance.now() - since > SAME_MILLISECONDS) process.exit(signalExitCodes.SIGINT)
      return
    }
    first = stop
    since = performance.now()
    announce(stop)
    controller.abort(new Error(`stopped by ${stop}`))
  }
  const signals = Object.keys(signalExitCodes) as StopSignal[]
  for (const signal of signals) process.on(signal, listener)
  return {
    signal: controller.signal,
    received: () => first,
    release: () => {
      for (const signal of signals) process.off(signal, listener)
    },
  }
}
