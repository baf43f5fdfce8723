/**
 * The only file that loads the addon. It is loaded on first use, so that what needs no arithmetic (summaries, reading files)
 * works without it.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { Binding } from '../binding.js'
import { SknetError, exitCodes } from './errors.js'
import type { SknetErrorCode, SknetErrorDetails } from './errors.js'

export type * from '../binding.js'

let loaded: Binding | undefined

/** The native core. Throws ERR_SKNET_NATIVE, with what to do, where it cannot be loaded; asking again tries again. */
export function native(): Binding {
  loaded ??= load()
  return loaded
}

/** Runs `call` and turns what the native side throws into SknetError, with the caller's stack. */
export function callNative<T>(call: (binding: Binding) => T): T {
  const binding = native()
  try {
    return call(binding)
  } catch (cause) {
    throw fromNative(cause)
  }
}

/** The same for a call that works on native threads. The error's stack shows who asked, not where the promise was settled. */
export function awaitNative<T>(call: Promise<T> | ((binding: Binding) => Promise<T>)): Promise<T> {
  const site = new Error('asked here')
  const promise = typeof call === 'function' ? callNative(call) : call
  return promise.catch((cause: unknown) => {
    const error = fromNative(cause)
    if (error instanceof SknetError && site.stack !== undefined) {
      error.stack = [`${error.name}: ${error.message}`, ...site.stack.split('\n').slice(1)].join('\n')
    }
    throw error
  })
}

/** An error of the native core as SknetError, its fields kept; anything else as it is. */
export function fromNative(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SknetError) return error
  const fields = error as Error & Partial<Record<'code' | keyof SknetErrorDetails, unknown>>
  if (typeof fields.code !== 'string' || !Object.hasOwn(exitCodes, fields.code)) return error
  const details: SknetErrorDetails = { cause: error }
  for (const key of ['option', 'path', 'tensor', 'expected', 'hint'] as const) {
    if (typeof fields[key] === 'string') details[key] = fields[key]
  }
  if (fields.got !== undefined) details.got = fields.got
  return new SknetError(fields.code as SknetErrorCode, error.message, details)
}

function load(): Binding {
  const require = createRequire(import.meta.url)
  const root = fileURLToPath(new URL('..', import.meta.url))
  try {
    const find = require('node-gyp-build') as (folder: string) => Binding
    return find(root)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause)
    const hint = helpFor(reason)
    const message = `The native core could not be loaded: ${reason}. ${hint}`
    throw new SknetError('ERR_SKNET_NATIVE', message, { path: root, expected: 'a native build for this machine', hint, cause })
  }
}

/** What to do about a failed load, by what the loader said. */
export function helpFor(reason: string): string {
  if (/GLIBC_|GLIBCXX_|CXXABI_/.test(reason)) {
    return 'The binary was made for a newer C or C++ library than this system has; build it here: npm run build:native'
  }
  if (/invalid ELF header|wrong ELF class|file too short/.test(reason)) {
    return 'The binary is damaged or for another machine; build it here: npm run build:native'
  }
  if (/cannot open shared object file/.test(reason)) {
    return 'A system library is missing; scripts/setup installs what a build needs, then: npm run build:native'
  }
  if (/undefined symbol|did not self-register/.test(reason)) {
    return 'The binary does not fit this Node.js or these sources; build it again: npm run build:native'
  }
  return `No binary is there for ${process.platform}-${process.arch}; build one: npm run build:native`
}
