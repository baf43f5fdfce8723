/**
 * Argument predicates, and the one way to phrase a bad argument: every function returns the value with its type, or throws
 * ERR_SKNET_OPTION naming the option's path, what was got and what is expected.
 */
import { SknetError } from './errors.js'

export interface Range {
  min?: number
  max?: number
}

/** Throws ERR_SKNET_OPTION: `<option> is <got>; expected <expected>`. */
export function badOption(option: string, got: unknown, expected: string, hint?: string): never {
  const message = `${option} is ${describe(got)}; expected ${expected}${hint === undefined ? '' : `. ${hint}`}`
  throw new SknetError('ERR_SKNET_OPTION', message, { option, got, expected, ...(hint === undefined ? {} : { hint }) })
}

/** A value in few words, for messages: text in quotes, objects as short JSON, functions and classes by kind. */
export function describe(value: unknown): string {
  if (value === undefined) return 'missing'
  if (typeof value === 'string') return `'${value.length > 80 ? `${value.slice(0, 77)}...` : value}'`
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name} of ${value.byteLength} bytes`
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value)
  try {
    const json = JSON.stringify(value)
    return json.length > 80 ? `${json.slice(0, 77)}...` : json
  } catch {
    return Array.isArray(value) ? 'an array' : 'an object'
  }
}

export function isInteger(value: unknown, range: Range = {}): value is number {
  return Number.isSafeInteger(value) && within(value as number, range)
}

export function isObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** A whole number, 1 to 2^53 - 1 unless `range` says otherwise. */
export function integer(option: string, value: unknown, range: Range = { min: 1 }): number {
  return isInteger(value, range) ? value : badOption(option, value, `a whole number${rangeText(range)}`)
}

/** A finite number. */
export function number(option: string, value: unknown, range: Range = {}): number {
  const ok = typeof value === 'number' && Number.isFinite(value) && within(value, range)
  return ok ? value : badOption(option, value, `a finite number${rangeText(range)}`)
}

export function boolean(option: string, value: unknown): boolean {
  return typeof value === 'boolean' ? value : badOption(option, value, 'true or false')
}

/** Text that is not empty. */
export function text(option: string, value: unknown): string {
  return typeof value === 'string' && value !== '' ? value : badOption(option, value, 'text that is not empty')
}

export function oneOf<const T extends string>(option: string, value: unknown, values: readonly T[]): T {
  if (typeof value === 'string' && (values as readonly string[]).includes(value)) return value as T
  badOption(option, value, `one of ${values.join(', ')}`, typeof value === 'string' ? didYouMean(value, values) : undefined)
}

/** An array whose items `item` accepts; `item` gets the item's own option path, `option[2]`. */
export function list<T>(option: string, value: unknown, item: (option: string, value: unknown) => T, length: Range = { min: 1 }): T[] {
  if (!Array.isArray(value)) badOption(option, value, 'an array')
  if (!within(value.length, length)) badOption(option, value, `an array, its length${rangeText(length)}`)
  return value.map((v, i) => item(`${option}[${i}]`, v))
}

/**
 * A plain object (or undefined, which counts as {}) without other keys than `keys`; the values are not looked at.
 * An unknown key throws, with the nearest known name as a hint. `path` is the option's path, '' for a function's own options.
 */
export function knownKeys<K extends string>(path: string, value: unknown, keys: readonly K[]): Partial<Record<K, unknown>> {
  if (value === undefined) return {}
  if (!isObject(value)) badOption(path === '' ? 'options' : path, value, 'an object of options')
  for (const key of Object.keys(value)) {
    if ((keys as readonly string[]).includes(key)) continue
    const option = path === '' ? key : `${path}.${key}`
    const hint = didYouMean(key, keys)
    const expected = `one of ${keys.join(', ')}`
    const message = `Unknown option ${option}; expected ${expected}${hint === undefined ? '' : `. ${hint}`}`
    throw new SknetError('ERR_SKNET_OPTION', message, { option, got: key, expected, ...(hint === undefined ? {} : { hint }) })
  }
  return value as Partial<Record<K, unknown>>
}

/** `check(option, value)`, or `fallback` where the value is undefined. */
export function optional<T>(value: unknown, fallback: T, check: (value: unknown) => T): T {
  return value === undefined ? fallback : check(value)
}

/** The name of `names` that `name` was most likely meant to be (a typo, or only its beginning), or null where none is near. */
export function nearest(name: string, names: readonly string[]): string | null {
  const wanted = name.slice(0, 100).toLowerCase()
  let best: string | null = null
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of names) {
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best ?? (wanted.length >= 4 ? (names.find((candidate) => candidate.toLowerCase().startsWith(wanted)) ?? null) : null)
}

export function didYouMean(name: string, names: readonly string[]): string | undefined {
  const guess = nearest(name, names)
  return guess === null ? undefined : `Did you mean ${guess}?`
}

function within(value: number, { min = -Infinity, max = Infinity }: Range): boolean {
  return value >= min && value <= max
}

function rangeText({ min, max }: Range): string {
  if (min !== undefined && max !== undefined) return min === max ? ` ${min}` : ` from ${min} to ${max}`
  return min !== undefined ? ` of at least ${min}` : max !== undefined ? ` of at most ${max}` : ''
}

/** Insertions, deletions, replacements and swaps of neighbours that turn a into b. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1)
      row.push(cost)
    }
    ;[before, above] = [above, row]
  }
  return above[b.length]!
}
