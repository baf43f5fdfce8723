/**
 * What a run tells while it goes on. `epoch` counts from 1; `step` is the number of steps done over the whole run, so the first step's
 * event says 1 and a resumed run goes on counting. Accuracies are shares from 0 to 1. Every event is plain data for JSON.
 */
import type { MemoryReport } from '../native.js'
import type { TrainOptions } from './option-types.js'

/** Once, before the first step; everything was checked by then. */
export interface StartEvent {
  type: 'start'
  /** Run folder, null when nothing is kept. */
  run: string | null
  model: string
  params: number
  classes: number
  trainImages: number
  valImages: number
  /** Side of the training input in pixels. */
  size: number
  epochs: number
  stepsPerEpoch: number
  totalSteps: number
  threads: number
  /** The checkpoint it goes on from; null for a new run. */
  resumed: { step: number; epoch: number; path: string } | null
  recipe: string | null
  options: TrainOptions
  /** Of the training plan; null for a finished run, which plans nothing. */
  memory: MemoryReport | null
}

export interface StepEvent {
  type: 'step'
  epoch: number
  step: number
  /** Mean over the batch. */
  loss: number
  /** Top-1 of the batch, from the training forward. */
  accuracy: number
  lr: number
  /** 2-norm of the gradient before clipping. */
  gradNorm: number
  seconds: number
  /** Seconds of them spent waiting for data. */
  waitSeconds: number
  imagesPerSecond: number
}

/** Validation numbers of one set of weights. */
export interface Scores {
  top1: number
  top5: number
  /** Mean loss over the images, without label smoothing. */
  loss: number
}

export interface EpochEvent {
  type: 'epoch'
  epoch: number
  step: number
  /** Rate of the epoch's last step. */
  lr: number
  /** Means over the epoch's training batches. */
  loss: number
  accuracy: number
  /** null without a validation set. With an EMA these are the averaged weights' numbers and `raw` the plain ones'. */
  top1: number | null
  top5: number | null
  valLoss: number | null
  raw: Scores | null
  /** true when no earlier epoch was as good by `best.metric`. */
  best: boolean
  /** Seconds of training in this epoch, without validation. */
  seconds: number
  waitSeconds: number
  /** Share of them that the device waited for data. */
  waitShare: number
  imagesPerSecond: number
  /** Images that could not be read, met in this epoch for the first time. */
  badSamples: { path: string; reason: string; split: 'train' | 'val' }[]
}

export interface CheckpointEvent {
  type: 'checkpoint'
  epoch: number
  step: number
  path: string
  /** Also copied to RUN/best. */
  best: boolean
}

export interface WarningEvent {
  type: 'warning'
  /** What it is about: 'bad-sample', 'checkpoint-skipped', 'data', 'schedule', 'device', 'isa', 'kernels', 'diverged'. */
  about: string
  message: string
  path?: string
  reason?: string
}

/** How a run, or this part of it, came out. */
export interface TrainResult {
  run: string | null
  model: string
  params: number
  classes: number
  /** Whole epochs done. */
  epochs: number
  steps: number
  totalSteps: number
  /** null: the run is finished, after all its epochs or, with fewer `epochs` than were asked for, by early stopping. */
  stopped: null | 'maxSteps' | 'aborted'
  /** Training loss of the last step; null when no step was ever made. */
  loss: number | null
  /** Of the last validation; null when there was none. */
  top1: number | null
  top5: number | null
  valLoss: number | null
  best: { top1: number; epoch: number } | null
  badSamples: number
  /** Share of the seconds of training that the device waited for data. */
  waitShare: number
  /** Seconds of training over the whole run, without validation and checkpoints. */
  seconds: number
  imagesPerSecond: number
  /** The checkpoint that holds this state. */
  checkpoint: string | null
}

/** The last event, of an aborted run too. */
export type EndEvent = { type: 'end' } & TrainResult

export type TrainEvent = StartEvent | StepEvent | EpochEvent | CheckpointEvent | WarningEvent | EndEvent
