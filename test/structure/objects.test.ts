/**
 * Objects compiled for one instruction set define no weak symbol. The linker keeps one copy of an inline or template function for
 * the whole addon; were it the AVX-512 one, the portable path would run AVX-512 code and end with SIGILL on an older CPU.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { root } from './tree.js'

/** Weak definitions in the output of `nm -C`: functions (W), objects (V) and unique globals (u); undefined ones (w, v) do no harm. */
function weakDefinitions(nm: string): string[] {
  return nm.split('\n').flatMap((line) => {
    const match = /^[0-9a-f]+ ([WVu]) (.+)$/.exec(line)
    return match?.[2] === undefined ? [] : [match[2]]
  })
}

describe('objects of one instruction set', () => {
  it('nm output is read as meant', () => {
    const nm =
      '0000000000000000 T sknet::run()\n0000000000000000 W std::max<int>\n                 w __cxa_finalize\n0000000000000010 V vtable\n'
    expect(weakDefinitions(nm)).to.deep.equal(['std::max<int>', 'vtable'])
  })

  it('define no weak symbol', function () {
    const build = path.join(root, 'build')
    const objects = existsSync(build)
      ? readdirSync(build, { recursive: true, encoding: 'utf8' }).filter(
          (name) => !name.startsWith('asan') && /sknet_cpu_(?!portable)\w+\.dir\/.*\.o$/.test(name),
        )
      : []
    if (objects.length === 0) this.skip()
    const found = objects.flatMap((name) =>
      weakDefinitions(execFileSync('nm', ['-C', path.join(build, name)], { encoding: 'utf8' })).map((symbol) => `${name}: ${symbol}`),
    )
    expect(found).to.deep.equal([])
  })
})
