/** The layer law as functions from files to findings; a finding is one line for people, `file:line: what is wrong`. */
import path from 'node:path'
import { includes, withoutComments } from './tree.js'
import type { SourceFile } from './tree.js'

/** Which rooms of native/ a room may include, besides itself. */
export const nativeRooms: Record<string, string[]> = {
  core: [],
  ops: ['core'],
  cpu: ['ops', 'core'],
  // Kernels, and the executor and plugin around them.
  // The plugin's registry and report name what vendors' folders offer.
  cuda: ['vendor', 'plugin', 'plan', 'optim', 'ops', 'core'],
  vendor: ['ops', 'core'],
  // A step of the plan ends with the update.
  plan: ['optim', 'ops', 'core'],
  optim: ['ops', 'core'],
  data: ['ops', 'core'],
  dist: ['ops', 'core'],
  // The border between addon and plugins, both sides.
  plugin: ['plan', 'optim', 'ops', 'core'],
  binding: ['plugin', 'plan', 'optim', 'data', 'dist', 'ops', 'core'],
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

export interface MirrorLists {
  /** Headers of native/ops that define no op. */
  notOps: string[]
  /** Headers that hold several small ops: their references and tests may go by the ops' own names. */
  families: Record<string, string[]>
  /** Files of test/reference and test/ops that are no op's, and why. */
  helpers: Record<string, string>
}

/**
 * Ops without their twins: native/ops/<op>.h asks for native/cpu/<op>.cc, test/reference/<op>.ts and test/ops/<op>.test.ts,
 * and each of these asks for the header. Test files may be written as the op is or in kebab-case.
 */
export function mirrorFindings(files: SourceFile[], lists: MirrorLists): string[] {
  const stems = (pattern: RegExp) =>
    files.map((file) => pattern.exec(file.path)?.[1]?.replaceAll('-', '_')).filter((stem) => stem !== undefined)
  const ops = stems(/^native\/ops\/(\w+)\.h$/).filter((op) => !lists.notOps.includes(op))
  const sources = stems(/^native\/cpu\/(\w+)\.cc$/)
  const missing = ops.flatMap((op) => (sources.includes(op) ? [] : [`native/ops/${op}.h: native/cpu/${op}.cc is missing`]))
  for (const [folder, pattern, ending] of [
    ['test/reference', /^test\/reference\/([\w-]+)\.ts$/, '.ts'],
    ['test/ops', /^test\/ops\/([\w-]+)\.test\.ts$/, '.test.ts'],
  ] as const) {
    const present = stems(pattern)
    for (const op of ops) {
      const parts = lists.families[op] ?? [op]
      const absent = present.includes(op) ? [] : parts.filter((part) => !present.includes(part))
      missing.push(...absent.map((part) => `native/ops/${op}.h: ${folder}/${part}${ending} is missing`))
    }
  }
  const known = [...ops, ...ops.flatMap((op) => lists.families[op] ?? [])]
  const strays = files
    .map((file) => file.path)
    .filter((name) => !(name in lists.helpers))
    .filter((name) => {
      const stem = /^test\/(?:reference|ops)\/([\w-]+?)(?:\.test)?\.ts$/.exec(name)?.[1]
      return stem !== undefined && !known.includes(stem.replaceAll('-', '_'))
    })
  const stale = Object.keys(lists.helpers).filter((name) => !files.some((file) => file.path === name))
  return [
    ...missing,
    ...stale.map((name) => `${name}: listed as a helper, but is not there`),
    ...strays.map((name) => `${name}: native/ops has no header of this name`),
  ]
}

/** Candidates declared in native/cpu/kernels.h that are named anywhere but in their own source, the registry and `exceptions` (path -> reason). */
export function candidateFindings(files: SourceFile[], exceptions: Record<string, string> = {}): string[] {
  const declarations = files.find((file) => file.path === 'native/cpu/kernels.h')
  if (!declarations) return ['native/cpu/kernels.h is missing']
  const names = [...declarations.text.matchAll(/extern const \w+ ([\w, ]+);/g)].flatMap((match) => match[1]?.split(/, */) ?? [])
  if (names.length === 0) return ['native/cpu/kernels.h declares no candidate']
  const free = ['native/cpu/kernels.h', 'native/cpu/registry_cpu.cc']
  const others = files.filter((file) => isNative(file) && !free.includes(file.path))
  return names.flatMap((name) => {
    const users = others.filter((file) => new RegExp(`\\b${name}\\b`).test(withoutComments(file.text))).map((file) => file.path)
    const strangers = users.filter((user) => !(user in exceptions))
    return strangers.length > 1 ? [`${name}: named in ${strangers.join(', ')}; only its source and registry_cpu.cc may`] : []
  })
}

/** Sources that no CMakeLists.txt of their folder, or of one above it, names: they would be dead code. */
export function unbuiltFindings(files: SourceFile[]): string[] {
  const lists = files.filter((file) => path.posix.basename(file.path) === 'CMakeLists.txt')
  const names = (list: SourceFile, source: string) =>
    list.text.split(/[\s"()]+/).includes(path.posix.relative(path.posix.dirname(list.path), source))
  return files
    .filter((file) => isNative(file) && /\.(cc|cu)$/.test(file.path))
    .filter((file) => !lists.some((list) => names(list, file.path)))
    .map((file) => `${file.path}: no CMakeLists.txt names it`)
}

function isNative(file: SourceFile): boolean {
  return /^native\/.*\.(h|cc|cu|cuh)$/.test(file.path)
}

function lineCount(file: SourceFile): number {
  return file.text.split('\n').length - 1
}
