/** Whole numbers and choices from flags, refused in the same words everywhere. */
import { integer, oneOf } from '../check.js'
import type { Args } from './command.js'

/** `fallback` where the flag was not given. */
export function wholeNumber(args: Args, flag: string, fallback: number, range: { min: number; max: number }): number {
  const value = args.number(flag)
  return value === undefined ? fallback : integer(flag, value, range)
}

export function choice<const T extends string>(args: Args, flag: string, values: readonly T[]): T {
  const value = args.text(flag)
  return value === undefined ? values[0]! : oneOf(flag, value, values)
}
