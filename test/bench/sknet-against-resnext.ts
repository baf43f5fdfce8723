/**
 * What the selective kernels cost: SKNet-50 and ResNeXt-50 (32x4d), both in our own program, in turns; `oursOverBest` is SKNet's images a second
 * over ResNeXt's.
 *
 *   npm run build && npx tsx test/bench/sknet-against-resnext.ts [--turns 3] [--threads 2] [--precision fp32] [--only NAME] [--out FILE]
 */
import { ours } from './contenders.js'
import { raceArguments, runRaces, type Race } from './race.js'

const args = raceArguments({ steps: '5' })

function race(mode: string, batch: number): Race {
  const contender = (model: string) =>
    ours(model, ['--model', model, '--mode', mode, '--batch', `${batch}`, '--steps', args.steps, '--warmup', '2'], args)
  return { name: `${mode} b${batch}`, ours: contender('sknet50'), peers: [contender('resnext50_32x4d')] }
}

runRaces([race('train', 16), race('infer', 16)], args)
