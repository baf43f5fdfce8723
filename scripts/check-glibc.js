#!/usr/bin/env node
// usage: check-glibc.js MAX FILE...   Fails when a file needs a glibc newer than MAX, or any shared library that is not glibc's.
import { execFileSync } from 'node:child_process'

const [max, ...files] = process.argv.slice(2)
if (max === undefined || files.length === 0) {
  console.error('usage: check-glibc.js MAX FILE...')
  process.exit(2)
}

/** Compares dotted versions: negative, zero or positive. */
function compare(a, b) {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number))
  for (let i = 0; i < Math.max(x.length, y.length); i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

const parts = /^(ld-linux-x86-64\.so\.2|lib(c|m|pthread|dl|rt)\.so\.\d)$/

let failed = false
for (const file of files) {
  const headers = execFileSync('objdump', ['-p', file], { encoding: 'utf8' })
  const needed = [...headers.matchAll(/NEEDED\s+(\S+)/g)].map((match) => match[1])
  const versions = [...headers.matchAll(/\s(GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+)/g)]
  const glibc = versions.filter((match) => match[1] === 'GLIBC').map((match) => match[2])
  const newest = glibc.sort(compare).at(-1) ?? '0'
  const shared = versions.filter((match) => match[1] !== 'GLIBC').map((match) => `${match[1]}_${match[2]}`)
  const foreign = needed.filter((library) => !parts.test(library))
  const ok = compare(newest, max) <= 0 && shared.length === 0 && foreign.length === 0
  failed ||= !ok
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${file}: glibc ${newest}, at most ${max}; needs ${[...needed, ...shared].join(' ')}`)
  if (foreign.length > 0) console.log(`     ${foreign.join(' ')}: not part of glibc, may be missing where this is installed`)
}
process.exit(failed ? 1 : 0)
