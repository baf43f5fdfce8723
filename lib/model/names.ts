/** Finds out whose names a file's tensors have, and translates names both ways. */
import { nameSchemes } from './name-schemes.js'
import type { NameScheme, NameStyle } from './name-schemes.js'
import type { Layer, ModelSpec } from './spec.js'
import { tensorInfos } from './tensors.js'

/** What wrapping a model (DataParallel, torch.compile) puts before every name. */
const wrappers = ['module.', '_orig_mod.']

/** Our names -> theirs, for all tensors of a network, or null where the style has no names for one of them. */
export function namesInStyle(spec: ModelSpec, style: NameStyle): Map<string, string> | null {
  for (const scheme of nameSchemes.filter((candidate) => candidate.style === style)) {
    const names = translated(spec, scheme)
    if (names !== null) return names
  }
  return null
}

export interface Recognized {
  style: NameStyle
  /** Our names -> the file's. */
  names: Map<string, string>
}

/** The style whose names most of the file's tensors have; our own where none has any. */
export function recognizeNames(spec: ModelSpec, fileNames: Iterable<string>): Recognized {
  const inFile = new Set(fileNames)
  const prefix = commonPrefix(inFile)
  let best: Recognized | null = null
  let most = -1
  for (const scheme of nameSchemes) {
    const names = translated(spec, scheme)
    if (names === null) continue
    if (prefix !== '') for (const [own, foreign] of names) names.set(own, prefix + foreign)
    const hits = [...names.values()].filter((name) => inFile.has(name)).length
    if (hits > most) [best, most] = [{ style: scheme.style, names }, hits]
  }
  return best!
}

function commonPrefix(names: ReadonlySet<string>): string {
  const all = [...names]
  let prefix = ''
  for (;;) {
    const more = wrappers.find((wrapper) => all.length > 0 && all.every((name) => name.startsWith(prefix + wrapper)))
    if (more === undefined) return prefix
    prefix += more
  }
}

function translated(spec: ModelSpec, { rules }: NameScheme): Map<string, string> | null {
  if (rules !== null && !spec.layers.every(isCommon)) return null
  const names = new Map<string, string>()
  const patterns = rules?.map(([own, foreign]) => ({ own: patternOf(own), foreign }))
  for (const { name } of tensorInfos(spec)) {
    const at = name.lastIndexOf('.')
    const layer = patterns === undefined ? name.slice(0, at) : translate(name.slice(0, at), patterns)
    if (layer === null) return null
    names.set(name, layer + name.slice(at))
  }
  return names
}

/** Other libraries have the paper's SK units only: 3x3 kernels of growing dilation that all read the whole input. */
function isCommon(layer: Layer): boolean {
  if (layer.op !== 'sk_unit') return true
  return layer.splitInput !== true && layer.branches.every(({ kernel, dilation }, m) => kernel === 3 && dilation === m + 1)
}

function translate(layer: string, patterns: readonly { own: RegExp; foreign: string }[]): string | null {
  for (const { own, foreign } of patterns) {
    const groups = own.exec(layer)?.groups
    if (groups === undefined) continue
    return foreign.replace(/\{(\w)(?:\+(\d))?\}/g, (_, key: string, more = '0') => String(Number(groups[key]) + Number(more)))
  }
  return null
}

/** `layer{s}.{u}` -> /^layer(?<s>\d+)\.(?<u>\d+)$/ */
function patternOf(own: string): RegExp {
  const escaped = own.replaceAll('.', '\\.').replace(/\{(\w)\}/g, '(?<$1>\\d+)')
  // An empty group, so that `groups` is there for rules without numbers, too.
  return new RegExp(`^${escaped}(?<none>)$`)
}
