/** What every kind of bench tells, whatever it measured. */
import type { Isa, Precision } from '../native.js'

export interface BenchFacts {
  mode: 'train' | 'infer'
  /** Images of one step. */
  batch: number
  /** Side of the input in pixels. */
  size: number
  threads: number
  precision: Precision
  isa: Isa
  /** Measured steps (batches, for the loader). */
  steps: number
  imagesPerSecond: number
  /** Of one step. */
  secondsMedian: number
  secondsMin: number
  peakRssMiB: number
  /** null: no device with memory of its own. */
  peakDeviceMiB: number | null
  /** Floating-point operations of the plan's steps (a multiply-accumulate is two) a second; null where there is no plan. */
  flopsPerSecond: number | null
  /** What was measured, and what its kind tells besides. */
  [fact: string]: unknown
}
