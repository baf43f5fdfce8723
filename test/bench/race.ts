/** Contenders in turns, in one run: medians over the turns, ratios, machine and commit, as JSON. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'

/** Options that every race takes; see each one's head for its own. */
export interface RaceArguments {
  python: string
  turns: number
  threads: number
  /** fp32 or bf16, handed on to all contenders. */
  precision: string
  /** Only races whose name this regular expression matches. */
  only?: string
  /** A file for the report; it is printed as well. */
  out?: string
}

export interface Measured {
  imagesPerSecond: number
  secondsMedian: number
  peakRssMiB: number
  [fact: string]: unknown
}

export interface Contender {
  name: string
  run: () => Measured
}

export interface Race {
  name: string
  ours: Contender
  /** Ours by other ways to the same end, each compared with the peers too. */
  variants?: Contender[]
  peers: Contender[]
}

/** The command line of a race; `extra` are options of its own, with their defaults. */
export function raceArguments<K extends string>(extra: Record<K, string>): RaceArguments & Record<K, string> {
  const defaults = { python: 'python3', turns: '3', threads: '2', precision: 'fp32', ...extra }
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    options: { only: text, out: text, ...Object.fromEntries(Object.keys(defaults).map((key) => [key, text])) },
  })
  const all = { ...defaults, ...(values as Record<string, string>) }
  const [turns, threads] = [Number(all.turns), Number(all.threads)]
  if (!(turns >= 1 && threads >= 1)) throw new Error(`--turns ${all.turns}, --threads ${all.threads}: expected whole numbers of at least 1`)
  return { ...(all as unknown as RaceArguments & Record<K, string>), turns, threads }
}

/** Runs the races one after the other, in each ours, theirs, ours, theirs; prints and stores the report. `versions` goes into it as it is. */
export function runRaces(races: readonly Race[], args: RaceArguments, versions: Record<string, unknown> = {}): void {
  const { turns, threads, precision, only, out } = args
  const results = races.filter(({ name }) => only === undefined || new RegExp(only).test(name)).map((race) => runRace(race, turns))
  const git = (...argv: string[]): string => execFileSync('git', argv, { encoding: 'utf8' }).trim()
  const machine = { date: new Date().toISOString(), commit: git('rev-parse', 'HEAD'), dirty: git('status', '--porcelain') !== '' }
  const report = JSON.stringify({ ...machine, cpu: cpus()[0]!.model, threads, turns, precision, ...versions, results }, null, 1)
  console.log(report)
  if (out !== undefined) writeFileSync(out, `${report}\n`)
}

function runRace({ name: race, ours, variants = [], peers }: Race, turns: number) {
  const contenders = [ours, ...variants, ...peers]
  const runs = contenders.map((): Measured[] => [])
  for (let turn = 0; turn < turns; turn++) contenders.forEach((c, i) => runs[i]!.push(c.run()))
  const rows = contenders.map(({ name }, i) => {
    const middle = (key: 'imagesPerSecond' | 'secondsMedian' | 'peakRssMiB') => median(runs[i]!.map((r) => r[key]))
    const { imagesPerSecond: _i, secondsMedian: _s, peakRssMiB: _p, ...facts } = runs[i]![0]!
    return {
      name,
      imagesPerSecond: middle('imagesPerSecond'),
      secondsMedian: middle('secondsMedian'),
      peakRssMiB: middle('peakRssMiB'),
      turns: runs[i]!.map((r) => r.imagesPerSecond),
      ...facts,
    }
  })
  const [own, theirs] = [rows.slice(0, 1 + variants.length), rows.slice(1 + variants.length)]
  for (const { name, imagesPerSecond, secondsMedian, peakRssMiB } of rows) {
    const rate = `${imagesPerSecond.toFixed(2)} img/s (${(1e3 * secondsMedian).toFixed(2)} ms), ${peakRssMiB.toFixed(0)} MiB`
    console.error(`${race}: ${name} ${rate}`)
  }
  const ratios = own.map((row) => ({
    name: row.name,
    over: Object.fromEntries(theirs.map((peer) => [peer.name, row.imagesPerSecond / peer.imagesPerSecond])),
  }))
  for (const { name, over } of ratios) {
    for (const [peer, ratio] of Object.entries(over)) console.error(`${race}: ${name} is ${ratio.toFixed(2)} x ${peer}`)
  }
  return { race, oursOverBest: own[0]!.imagesPerSecond / Math.max(...theirs.map((r) => r.imagesPerSecond)), ratios, rows }
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2
}
