/** Every error of the package: what is wrong, where, what was found and what was expected. */

/** Error codes and the exit code each one leads to on the command line (DESIGN 6). */
export const exitCodes = {
  ERR_SKNET_INTERNAL: 1,
  ERR_SKNET_NATIVE: 1,
  ERR_SKNET_BUSY: 1,
  ERR_SKNET_DISPOSED: 1,
  ERR_SKNET_OPTION: 2,
  ERR_SKNET_MODEL: 2,
  ERR_SKNET_DEVICE: 2,
  ERR_SKNET_RUN: 2,
  ERR_SKNET_DATA: 3,
  ERR_SKNET_DECODE: 3,
  ERR_SKNET_BAD_SAMPLES: 3,
  ERR_SKNET_FORMAT: 3,
  ERR_SKNET_WEIGHTS: 3,
  ERR_SKNET_DIVERGED: 4,
  ERR_SKNET_OOM: 5,
  ERR_SKNET_PEER_LOST: 6,
  ERR_SKNET_CHECKPOINT_IO: 7,
  ERR_SKNET_CHECKPOINT_INVALID: 7,
} as const

export type SknetErrorCode = keyof typeof exitCodes

export interface SknetErrorDetails {
  /** Path of the option, as in DESIGN 6: `optimizer.lr`. */
  option?: string
  /** File or folder meant. */
  path?: string
  /** Tensor or layer meant. */
  tensor?: string
  got?: unknown
  expected?: string
  /** The next step to take, where there is one. */
  hint?: string
  cause?: unknown
}

export class SknetError extends Error {
  override readonly name = 'SknetError'
  readonly code: SknetErrorCode
  readonly option?: string
  readonly path?: string
  readonly tensor?: string
  readonly got?: unknown
  readonly expected?: string
  readonly hint?: string

  constructor(code: SknetErrorCode, message: string, details: SknetErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    if (details.option !== undefined) this.option = details.option
    if (details.path !== undefined) this.path = details.path
    if (details.tensor !== undefined) this.tensor = details.tensor
    if (details.got !== undefined) this.got = details.got
    if (details.expected !== undefined) this.expected = details.expected
    if (details.hint !== undefined) this.hint = details.hint
  }

  get exitCode(): number {
    return exitCodes[this.code]
  }
}
