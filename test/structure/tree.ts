/** The project's source files as data, for the rules of rules.ts. */
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'

export const root = path.resolve(import.meta.dirname, '../..')

export interface SourceFile {
  /** From the project root, with slashes: native/ops/conv2d.h */
  path: string
  text: string
}

const extensions = ['.h', '.cc', '.cu', '.cuh', '.ts', '.js', '.cjs', '.txt']

/** Every source file below `folders` (from the project root), sorted by path; a folder that does not exist holds none. */
export function readTree(folders: string[]): SourceFile[] {
  const files: SourceFile[] = []
  const visit = (folder: string) => {
    for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const name = `${folder}/${entry.name}`
      if (entry.isDirectory()) visit(name)
      else if (extensions.includes(path.extname(entry.name))) files.push({ path: name, text: readFileSync(path.join(root, name), 'utf8') })
    }
  }
  const present = readdirSync(root)
  for (const folder of folders) if (present.includes(folder)) visit(folder)
  return files.sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** C++ without comments and the contents of string literals, line numbers kept. */
export function withoutComments(text: string): string {
  return text.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"/g, (match) =>
    match.startsWith('"') ? '""' : match.replace(/[^\n]/g, ' '),
  )
}

export interface Include {
  line: number
  target: string
  /** "..." rather than <...> */
  quoted: boolean
}

export function includes(file: SourceFile): Include[] {
  return file.text.split('\n').flatMap((text, index) => {
    const match = /^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)/.exec(text)
    const target = match?.[1] ?? match?.[2]
    return target === undefined ? [] : [{ line: index + 1, target, quoted: match?.[1] !== undefined }]
  })
}
