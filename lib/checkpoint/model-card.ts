/** The README.md of a model folder: what the weights are, how they were made, how good they are, their hashes, and how to use them. */
import { isObject } from '../check.js'
import type { Digest } from './files.js'

/** A card begins like this; a README.md of someone's own is never replaced. */
export const CARD_MARK = '<!-- Written by sknet with the model; it is replaced when the model is saved again. -->'
const MOST_LABELS = 1000

export interface CardContent {
  arch: string
  classes: number
  classNames: unknown
  preprocessing: unknown
  /** What is known of the weights: recipe, metrics, source, ... */
  info: unknown
  files: Record<string, Digest>
}

export function modelCard({ arch, classes, classNames, preprocessing, info, files }: CardContent): string {
  const known = isObject(info) ? info : {}
  const { metrics, options, ...origin } = known
  const hashes = Object.entries(files).map(([name, { size, sha256 }]) => `| ${name} | ${size} | \`${sha256}\` |`)
  const sections: [string, string[]][] = [
    ['Origin', table(origin)],
    ['Metrics', isObject(metrics) ? table(metrics) : []],
    ['Preprocessing', isObject(preprocessing) ? table(preprocessing) : []],
    ['Training options', isObject(options) ? table(options) : []],
    ['Files', ['| file | bytes | SHA-256 |', '|---|---|---|', ...hashes]],
    ['Labels', labels(classNames, classes)],
    ['Use', ['```sh', 'npx sknet predict --weights . picture.jpg', '```', '', '```ts', "const model = await loadModel('.')", '```']],
  ]
  const text = sections.filter(([, lines]) => lines.length > 0).flatMap(([title, lines]) => [`## ${title}`, '', ...lines, ''])
  return [CARD_MARK, `# ${cell(arch)}, ${classes} classes`, '', ...text].join('\n')
}

function table(values: Record<string, unknown>): string[] {
  const rows = Object.entries(values).filter(([, value]) => value !== undefined && value !== null)
  return rows.length === 0 ? [] : ['| | |', '|---|---|', ...rows.map(([key, value]) => `| ${cell(key)} | ${cell(shown(value))} |`)]
}

function labels(names: unknown, classes: number): string[] {
  if (!Array.isArray(names)) return []
  const listed = names.slice(0, MOST_LABELS).map((name, i) => `${i}. ${cell(shown(name))}`)
  return names.length > MOST_LABELS ? [...listed, '', `and ${classes - MOST_LABELS} more, in config.json`] : listed
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Names come from folders and files of anyone's; none of them is Markdown or HTML. */
function cell(text: string): string {
  return text.replace(/[\r\n]+/g, ' ').replace(/[\\`*_{}[\]<>|#!~&]/g, (c) => (c === '<' ? '&lt;' : c === '&' ? '&amp;' : `\\${c}`))
}
