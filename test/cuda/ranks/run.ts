/**
 * One rank of several, a process each as on real devices. Arguments: how many shards it does a step, its rank, how many there are, and their id in
 * hexadecimal. Without an id it makes one and prints it. With SKNET_TEST_ODD_RANK it is the rank that clips its gradients otherwise. Then it trains its part and prints its result, or the error's code and words.
 */
import { native } from '../../../lib/native.js'
import { emulated } from '../../support/devices.js'
import { drawTraining, hashOf, trainNative } from '../../support/train-case.js'
import { partOf, rankCase } from './case.js'

const write = (line: string): boolean => process.stdout.write(`${line}\n`)
const [shards, rank, count] = process.argv.slice(2, 5).map(Number) as [number, number, number]

try {
  let id = process.argv[5]
  if (id === undefined) {
    id = Buffer.from(native().makeRankId(emulated)).toString('hex')
    write(id)
  }
  const drawn = partOf(drawTraining(rankCase(shards, count), 3), rank, count)
  const ranks = { count, rank, id: Buffer.from(id, 'hex') }
  const { settings, ...own } = rankCase(shards)
  const gradClip = process.env.SKNET_TEST_ODD_RANK === String(rank) ? 2 * settings.gradClip : settings.gradClip
  const result = await trainNative({ ...own, settings: { ...settings, gradClip } }, drawn, { device: emulated, ranks })
  write(JSON.stringify({ hash: hashOf(result), loss: result.loss, correct: result.correct }))
} catch (error) {
  const { code, message } = error as { code: string; message: string }
  write(JSON.stringify({ error: `${code} ${message}` }))
}
