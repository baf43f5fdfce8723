/** The addon exports what binding.d.ts declares: the same names, and on every class the same members. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { expect } from 'chai'
import ts from 'typescript'
import { root } from '../structure/tree.js'

interface Surface {
  exports: string[]
  /** Class name -> methods and properties, without the constructor. */
  classes: Map<string, string[]>
}

function memberNames(members: readonly (ts.TypeElement | ts.ClassElement)[]): string[] {
  return members
    .filter((member) => member.name !== undefined)
    .map((member) => (member.name as ts.Identifier).text)
    .sort()
}

/** What binding.d.ts declares: the members of `interface Binding` and of every `declare class`. */
function declaredSurface(text: string): Surface {
  const source = ts.createSourceFile('binding.d.ts', text, ts.ScriptTarget.Latest, true)
  const surface: Surface = { exports: [], classes: new Map() }
  for (const statement of source.statements) {
    if (ts.isInterfaceDeclaration(statement) && statement.name.text === 'Binding') surface.exports = memberNames(statement.members)
    if (ts.isClassDeclaration(statement) && statement.name) surface.classes.set(statement.name.text, memberNames(statement.members))
  }
  return surface
}

describe('native surface', () => {
  const declared = declaredSurface(readFileSync(path.join(root, 'binding.d.ts'), 'utf8'))
  let addon: Record<string, unknown>

  before(() => {
    const load = createRequire(import.meta.url)('node-gyp-build') as (folder: string) => Record<string, unknown>
    addon = load(root)
  })

  it('exports the names of interface Binding', () => {
    expect(declared.exports).to.include('Plan')
    expect(Object.keys(addon).sort()).to.deep.equal(declared.exports)
  })

  for (const [name, members] of declared.classes) {
    it(`class ${name} has its declared members`, () => {
      const actual = (addon[name] as { prototype: object }).prototype
      const names = Object.getOwnPropertyNames(actual).filter((member) => member !== 'constructor')
      expect(names.sort()).to.deep.equal(members)
    })
  }
})
