import { SknetError } from '../../lib/errors.js'

/** The SknetError that `run` throws or rejects with; anything else fails the test. */
export async function rejected(run: () => unknown): Promise<SknetError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof SknetError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

/** The same for what throws at once. */
export function thrown(run: () => unknown): SknetError {
  try {
    run()
  } catch (error) {
    if (error instanceof SknetError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
