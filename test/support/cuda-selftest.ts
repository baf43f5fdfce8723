import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { root } from '../structure/tree.js'

/** Where the native build, sanitized or not, leaves its programs. */
export function builtProgram(name: string): string {
  const build = process.env.SKNET_PREBUILD === undefined ? path.join(root, 'build') : path.join(process.env.SKNET_PREBUILD, 'build')
  return path.join(build, 'Release', name)
}

/** What a program of native/cuda's tests has: `--list` or `--list-crashes`. */
export function listTests(binary: string, option: string): string[] {
  return execFileSync(binary, [option], { encoding: 'utf8' }).trim().split('\n')
}

function outputOf(binary: string, environment: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'ignore'] })
    let output = ''
    child.stdout.on('data', (text: Buffer) => (output += text.toString()))
    child.on('error', reject)
    child.on('close', () => resolve(output))
  })
}

/** Every test of the program in every schedule of lanes, on as many threads; null: one a core. */
export function describeSelftest(title: string, program: string, schedules: Record<string, number | null>): void {
  const binary = builtProgram(program)
  describe(title, function () {
    this.timeout(600_000)
    if (!existsSync(binary)) {
      it(`${program} is not built: npm run build:native`)
      return
    }
    const names = listTests(binary, '--list')
    for (const [schedule, threads] of Object.entries(schedules)) {
      describe(`schedule ${schedule}${threads === null ? '' : `, threads: ${threads}`}`, () => {
        let lines: string[] = []
        before(async () => {
          lines = (await outputOf(binary, { SKNET_SIMT_SCHEDULE: schedule, SKNET_SIMT_THREADS: String(threads ?? 0) })).split('\n')
        })
        for (const name of names) {
          it(name, () => {
            const line = lines.find((candidate) => candidate.split(/[ :]/)[1] === name)
            expect(line ?? `no result for ${name}: the process ended`).to.match(new RegExp(`^ok ${name}(:|$)`))
          })
        }
      })
    }
  })
}
