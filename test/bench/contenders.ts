/** Programs that print what they measured as JSON: our own `bench`, and scripts for Python. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Contender, Measured, RaceArguments } from './race.js'

type Environment = Record<string, string>

/** Our command line, of the built package (npm run build). */
export const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** A file of test/bench/peers. */
export function peer(name: string): string {
  return fileURLToPath(new URL(`peers/${name}`, import.meta.url))
}

/** What a program prints on standard output; what it says on standard error is shown where it fails. */
export function output(command: string, argv: readonly string[], environment: Environment = {}): string {
  return execFileSync(command, argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...environment } })
}

/** The last line of what a program prints, which is JSON. */
export function lastJson(text: string): Record<string, unknown> {
  return JSON.parse(text.trim().split('\n').at(-1)!) as Record<string, unknown>
}

/** `sknet bench` with these options, of the built package (npm run build). */
export function ours(name: string, options: readonly string[], { threads, precision }: RaceArguments): Contender {
  // fp32 is the default, and older versions know no other.
  const type = precision === 'fp32' ? [] : ['--precision', precision]
  const argv = [main, 'bench', ...options, '--threads', `${threads}`, ...type, '--json']
  return {
    name,
    run: () => {
      const { imagesPerSecond, secondsMedian, peakRssMiB } = lastJson(output(process.execPath, argv)) as Measured
      return { imagesPerSecond, secondsMedian, peakRssMiB }
    },
  }
}

/**
 * A script for Python that prints seconds_median, images_per_s and peak_rss_mib, and takes --threads and --dtype; `facts` are more names of
 * what it prints, kept in the report. `tuned` gives it the best environment found.
 */
export function python(
  name: string,
  script: readonly string[],
  args: RaceArguments,
  { tuned = true, facts = [] as string[] } = {},
): Contender {
  const argv = [...script, '--threads', `${args.threads}`, '--dtype', args.precision]
  return {
    name,
    run: () => {
      const told = lastJson(output(args.python, argv, tuned ? tunedEnvironment(args.threads) : {}))
      return { ...measured(told), ...Object.fromEntries(facts.map((fact) => [fact, told[fact]])) }
    },
  }
}

/** From the names that scripts for Python use. */
export function measured(told: Record<string, unknown>): Measured {
  const { images_per_s: imagesPerSecond, seconds_median: secondsMedian, peak_rss_mib: peakRssMiB } = told as Record<string, number>
  return { imagesPerSecond: imagesPerSecond!, secondsMedian: secondsMedian!, peakRssMiB: peakRssMiB! }
}

export function torchVersion(args: RaceArguments): string {
  return output(args.python, ['-c', 'import torch; print(torch.__version__)']).trim()
}

/** The best environment found for PyTorch on a CPU: malloc that keeps its memory, huge pages, pinned threads, the widest vectors. */
export function tunedEnvironment(threads: number): Environment {
  const [large, trim, pad] = ['17179869184', '34359738368', '268435456']
  const tunables = ['hugetlb=1', `mmap_threshold=${large}`, `trim_threshold=${trim}`, `top_pad=${pad}`]
  return {
    MALLOC_MMAP_THRESHOLD_: large,
    MALLOC_TRIM_THRESHOLD_: trim,
    MALLOC_TOP_PAD_: pad,
    GLIBC_TUNABLES: tunables.map((tunable) => `glibc.malloc.${tunable}`).join(':'),
    ...(/\bavx512f\b/.test(readFileSync('/proc/cpuinfo', 'utf8')) ? { ATEN_CPU_CAPABILITY: 'avx512' } : {}),
    OMP_NUM_THREADS: `${threads}`,
    OMP_PROC_BIND: 'true',
    OMP_PLACES: 'cores',
  }
}
