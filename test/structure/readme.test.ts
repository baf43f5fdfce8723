/** The README's script is what the package's types accept. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import ts from 'typescript'
import { root } from './tree.js'

/** Messages of the type checker for `text`, a module at the project root that may import 'sknet'. */
function typeErrors(text: string): string[] {
  const config = ts.getParsedCommandLineOfConfigFile(
    path.join(root, 'tsconfig.test.json'),
    {},
    {
      ...ts.sys,
      onUnRecoverableConfigFileDiagnostic: (diagnostic) => expect.fail(ts.flattenDiagnosticMessageText(diagnostic.messageText, ' ')),
    },
  )
  const options: ts.CompilerOptions = { ...config?.options, noEmit: true, paths: { sknet: [path.join(root, 'lib/index.ts')] } }
  const name = path.join(root, 'readme-script.ts')
  const disk = ts.createCompilerHost(options)
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (file) => file === name || disk.fileExists(file),
    readFile: (file) => (file === name ? text : disk.readFile(file)),
    getSourceFile: (file, target, ...rest) =>
      file === name ? ts.createSourceFile(file, text, target) : disk.getSourceFile(file, target, ...rest),
  }
  const program = ts.createProgram([name], options, host)
  const script = program.getSourceFile(name)
  return [...program.getSyntacticDiagnostics(script), ...program.getSemanticDiagnostics(script)].map((diagnostic) =>
    ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'),
  )
}

describe('README', () => {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8')
  const scripts = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] ?? '')

  it('shows a training and a network of blocks', () => {
    expect(scripts).to.have.length(2)
  })

  it('the scripts type-check', () => {
    expect(scripts.flatMap(typeErrors)).to.deep.equal([])
  })

  it('a wrong script would not', () => {
    const errors = typeErrors("import { createModel } from 'sknet'\nexport const n: number = createModel('sknet50')\n")
    expect(errors).to.have.length(1)
    expect(errors[0]).to.match(/not assignable to type 'number'/)
  })

  it('links to files that are there', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1] ?? '')
    expect(links).to.include('CONTRIBUTING.md')
    const missing = links.filter((link) => !ts.sys.fileExists(path.join(root, link)))
    expect(missing).to.deep.equal([])
  })
})
