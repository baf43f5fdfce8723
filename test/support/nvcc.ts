import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { root } from '../structure/tree.js'

export function hasNvcc(): boolean {
  return spawnSync('nvcc', ['--version']).error === undefined
}

/** Compiles sources (paths under native/) for sm_80 and sm_90 in one go; what nvcc and ptxas say, which `-v` makes every kernel's registers. */
export function nvcc(folder: string, sources: string[], ...options: string[]): { status: number | null; stderr: string } {
  const all = path.join(folder, 'all.cu')
  writeFileSync(all, sources.map((name) => `#include "${name}"\n`).join(''))
  const architectures = ['80', '90'].flatMap((number) => ['-gencode', `arch=compute_${number},code=sm_${number}`])
  const settings = ['-std=c++20', '-O3', '-Werror', 'all-warnings', '-I', path.join(root, 'native'), ...architectures]
  const { status, stderr } = spawnSync('nvcc', [...settings, ...options, '-c', all, '-o', path.join(folder, 'all.o')], { encoding: 'utf8' })
  return { status, stderr }
}
