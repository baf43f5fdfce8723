/** `sknet verify`: re-hashes the checkpoints of a run. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { listCheckpoints, verifyCheckpoint } from '../checkpoint/scan.js'
import { SknetError } from '../errors.js'
import type { Command } from './command.js'

export const verifyCommand: Command = {
  name: 'verify',
  about: 'Reads every checkpoint of a run and compares sizes and SHA-256 with its manifest. Exit code 7 when one is damaged.',
  positionals: { usage: 'RUN', min: 1, max: 1 },
  flags: {},
  run: async (args, output) => {
    const run = args.positionals[0]!
    const folder = join(run, 'checkpoints')
    if (!(await isFolder(folder))) {
      throw new SknetError('ERR_SKNET_RUN', `${run} is no run: it has no folder checkpoints/`, {
        path: run,
        expected: 'the folder of a run',
      })
    }
    const checkpoints = []
    for (const { path, step } of await listCheckpoints(folder)) {
      const { ok, problems } = await verifyCheckpoint(path)
      output.say(`${ok ? 'ok     ' : 'DAMAGED'}  ${path}${ok ? '' : `: ${problems.join('; ')}`}`)
      checkpoints.push({ path, step, ok, problems })
    }
    const damaged = checkpoints.filter(({ ok }) => !ok).length
    output.say(`${checkpoints.length} checkpoints, ${damaged} damaged`)
    output.emit({ type: 'result', run, ok: damaged === 0 && checkpoints.length > 0, checkpoints })
    if (checkpoints.length === 0) output.warn(`sknet: ${folder} holds no checkpoints`)
    return damaged > 0 || checkpoints.length === 0 ? 7 : 0
  },
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isDirectory(),
    () => false,
  )
}
