/** The layer law as functions from files to findings; a finding is one line for people, `file:line: what is wrong`. */
import path from 'node:path'
import { includes, withoutComments } from './tree.js'
import type { SourceFile } from './tree.js'

/** Which rooms of native/ a room may include, besides itself. */
export const nativeRooms: Record<string, string[]> = {
  core: [],
  ops: ['core'],
  cpu: ['ops', 'core'],
  cuda: ['ops', 'core'],
  vendor: ['ops', 'core'],
  plan: ['ops', 'core'],
  optim: ['ops', 'core'],
  data: ['ops', 'core'],
  dist: ['ops', 'core'],
  binding: ['plan', 'optim', 'data', 'dist', 'ops', 'core'],
  portable: [],
}

const nodeHeaders = ['napi.h', 'node_api.h', 'js_native_api.h']

export function roomOf(file: string): string {
  return file.split('/')[1] ?? ''
}

/** Includes that point up or sideways, name a missing file, or bring Node-API out of native/binding. */
export function includeFindings(files: SourceFile[]): string[] {
  const known = new Set(files.map((file) => file.path))
  return files.filter(isNative).flatMap((file) => {
    const room = roomOf(file.path)
    const allowed = nativeRooms[room]
    if (allowed === undefined) return [`${file.path}: native/${room} is no room of the layer law`]
    return includes(file).flatMap((include) => {
      const at = `${file.path}:${include.line}`
      if (nodeHeaders.includes(path.basename(include.target))) {
        return room === 'binding' ? [] : [`${at}: ${include.target} outside native/binding`]
      }
      if (!include.quoted) return []
      const target = [path.posix.join(path.posix.dirname(file.path), include.target), `native/${include.target}`].find((name) =>
        known.has(name),
      )
      if (target === undefined) return [`${at}: "${include.target}" is no file of native/`]
      const other = roomOf(target)
      const vendorOf = (name: string) => (roomOf(name) === 'vendor' ? name.split('/')[2] : undefined)
      if (other === room) {
        return vendorOf(file.path) === vendorOf(target) ? [] : [`${at}: one vendor's folder includes another's, ${include.target}`]
      }
      return allowed.includes(other) ? [] : [`${at}: native/${room} may not include native/${other} (${include.target})`]
    })
  })
}

const endings = /(?<![\w.>])(?:std\s*::\s*|::\s*)?(exit|_exit|_Exit|quick_exit|abort|terminate|assert)\s*\(/

/** Calls that would end the user's process; only native/core may hold one, and says why there. */
export function processEndFindings(files: SourceFile[]): string[] {
  return files
    .filter((file) => isNative(file) && roomOf(file.path) !== 'core')
    .flatMap((file) =>
      withoutComments(file.text)
        .split('\n')
        .flatMap((line, index) => {
          const match = endings.exec(line)
          return match ? [`${file.path}:${index + 1}: ${match[1]}() ends the user's process; throw sknet::Error`] : []
        }),
    )
}

/** Files over `limit` lines, but for `exceptions` (path -> reason). */
export function lengthFindings(files: SourceFile[], limit: number, exceptions: Record<string, string> = {}): string[] {
  const long = files.filter((file) => lineCount(file) > limit)
  return [
    ...long.filter((file) => !(file.path in exceptions)).map((file) => `${file.path}: ${lineCount(file)} lines, at most ${limit}`),
    ...Object.keys(exceptions)
      .filter((name) => !long.some((file) => file.path === name))
      .map((name) => `${name}: listed as over ${limit} lines, but is not`),
  ]
}

/**
 * Ops without their twins: native/ops/<op>.h asks for native/cpu/<op>.cc, test/reference/<op>.ts and test/ops/<op>.test.ts,
 * and each of these asks for the header (test files in kebab-case or as the op is written).
 * `notOps` are headers that define no op; `exceptions` maps a path that need not exist, or needs no header, to the reason.
 */
export function mirrorFindings(files: SourceFile[], notOps: string[], exceptions: Record<string, string> = {}): string[] {
  const known = new Set(files.map((file) => file.path))
  const spellings = (op: string, before: string, after: string) =>
    [...new Set([op, op.replaceAll('_', '-')])].map((name) => before + name + after)
  const ops = files
    .map((file) => /^native\/ops\/(\w+)\.h$/.exec(file.path)?.[1])
    .filter((op) => op !== undefined)
    .filter((op) => !notOps.includes(op))
  const twins = (op: string) => [[`native/cpu/${op}.cc`], spellings(op, 'test/reference/', '.ts'), spellings(op, 'test/ops/', '.test.ts')]
  const missing = ops.flatMap((op) =>
    twins(op)
      .filter((names) => !names.some((name) => known.has(name) || name in exceptions))
      .map((names) => `native/ops/${op}.h: ${names.join(' or ')} is missing`),
  )
  const expected = new Set(ops.flatMap((op) => twins(op).flat()))
  const strays = files
    .filter((file) => /^test\/(reference|ops)\/[^/]+\.ts$/.test(file.path))
    .filter((file) => !expected.has(file.path) && !(file.path in exceptions))
    .map((file) => `${file.path}: no header native/ops/ of this name`)
  return [...missing, ...strays]
}

/** Sources that no CMakeLists.txt of their folder names: they would be dead code. */
export function unbuiltFindings(files: SourceFile[]): string[] {
  return files
    .filter((file) => isNative(file) && /\.(cc|cu)$/.test(file.path))
    .filter((file) => {
      const lists = files.find((other) => other.path === `${path.posix.dirname(file.path)}/CMakeLists.txt`)
      return !lists || !new RegExp(`(^|[\\s"(/])${path.basename(file.path).replace('.', '\\.')}(?=[\\s")])`, 'm').test(lists.text)
    })
    .map((file) => `${file.path}: not named in its folder's CMakeLists.txt`)
}

function isNative(file: SourceFile): boolean {
  return /^native\/.*\.(h|cc|cu|cuh)$/.test(file.path)
}

function lineCount(file: SourceFile): number {
  return file.text.split('\n').length - 1
}
