/** Runs the command line in this process, what it says caught. */
import { main } from '../../lib/cli/main.js'
import { createOutput } from '../../lib/cli/output.js'

export interface Said {
  code: number
  /** The last JSON object. */
  last: Record<string, unknown>
  /** What people would read. */
  text: string
}

export async function runCommand(...argv: string[]): Promise<Said> {
  let [out, err] = ['', '']
  const sinks = { out: { write: (text: string) => (out += text) }, err: { write: (text: string) => (err += text) } }
  const code = await main([...argv, '--json'], createOutput(true, sinks))
  const lines = out.trim().split('\n')
  return { code, last: lines.at(-1) === '' ? {} : (JSON.parse(lines.at(-1)!) as Record<string, unknown>), text: err }
}
