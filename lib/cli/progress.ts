/** A run's events as lines for people: one that is rewritten on a terminal, a line an epoch everywhere. */
import type { EpochEvent, StartEvent, StepEvent, TrainEvent, TrainResult } from '../train/events.js'
import type { Output } from './output.js'

/** Without a terminal a step's line comes this often. */
const QUIET_SECONDS = 30
/** A terminal's line is rewritten no more often than this. */
const LIVE_SECONDS = 0.1

export interface Reporter {
  event(event: TrainEvent): void
}

/** @param now seconds from any origin (tests give their own) */
export function createReporter(output: Output, now: () => number = () => performance.now() / 1000): Reporter {
  let start: StartEvent | null = null
  let shown = now()
  let speed = 0
  return {
    event: (event) => {
      output.emit({ ...event })
      if (event.type === 'start') {
        start = event
        for (const line of startLines(event)) output.say(line)
      } else if (event.type === 'step') {
        speed = speed === 0 ? event.imagesPerSecond : 0.9 * speed + 0.1 * event.imagesPerSecond
        const wait = output.live ? LIVE_SECONDS : QUIET_SECONDS
        if (start === null || now() - shown < wait) return
        shown = now()
        const line = stepLine(start, event, speed)
        if (output.live) output.progress(line)
        else output.say(line)
      } else if (event.type === 'epoch' && start !== null) {
        output.say(epochLine(start, event))
      } else if (event.type === 'warning') {
        output.warn(`warning: ${event.message}`)
      }
    },
  }
}

export function startLines(start: StartEvent): string[] {
  const { options, resumed } = start
  const shards = options.batchSize / options.shardSize
  const lines = [
    `${start.model}: ${start.params.toLocaleString('en-US')} parameters, ${start.classes} classes, input ${start.size} x ${start.size}`,
    `${start.trainImages.toLocaleString('en-US')} training and ${start.valImages.toLocaleString('en-US')} validation images, ${start.epochs} epochs of ${start.stepsPerEpoch} steps`,
    `batch ${options.batchSize}${shards > 1 ? ` (${shards} shards of ${options.shardSize})` : ''}, recipe ${start.recipe ?? 'none'}, ${start.threads} ${start.threads === 1 ? 'thread' : 'threads'}${start.memory === null ? '' : `, ${mebibytes(start.memory.total)}`}`,
  ]
  if (resumed !== null && resumed.step === start.totalSteps) lines.push('this run is finished; --fresh would start it anew')
  else if (resumed !== null) lines.push(`going on from step ${resumed.step} (epoch ${resumed.epoch}): ${resumed.path}`)
  return lines
}

export function stepLine(start: StartEvent, event: StepEvent, speed: number): string {
  const left = ((start.totalSteps - event.step) * start.options.batchSize) / speed
  return [
    `epoch ${event.epoch}/${start.epochs}`,
    `step ${event.step}/${start.totalSteps}`,
    `loss ${event.loss.toFixed(4)}`,
    `accuracy ${percent(event.accuracy)}`,
    `${speed.toFixed(speed < 10 ? 1 : 0)} img/s`,
    `ETA ${duration(left)}`,
  ].join('  ')
}

export function epochLine(start: StartEvent, event: EpochEvent): string {
  const scores =
    event.top1 === null
      ? []
      : [`top-1 ${percent(event.top1)}`, `top-5 ${percent(event.top5 ?? 0)}`, `val loss ${(event.valLoss ?? 0).toFixed(4)}`]
  const raw = event.raw === null ? [] : [`(without averaging ${percent(event.raw.top1)})`]
  return [
    `epoch ${String(event.epoch).padStart(String(start.epochs).length)}/${start.epochs}`,
    `loss ${event.loss.toFixed(4)}`,
    `accuracy ${percent(event.accuracy)}`,
    ...scores,
    ...raw,
    `${event.imagesPerSecond.toFixed(event.imagesPerSecond < 10 ? 1 : 0)} img/s`,
    ...(event.waitShare >= 0.01 ? [`waited ${(100 * event.waitShare).toFixed(0)} %`] : []),
    ...(event.badSamples.length > 0 ? [`${event.badSamples.length} unreadable`] : []),
    `${shortDuration(event.seconds)}${event.best ? '  best' : ''}`,
  ].join('  ')
}

/** The last lines of a run. */
export function resultLines(result: TrainResult): string[] {
  const lines = [
    result.stopped === null
      ? `finished${result.steps < result.totalSteps ? ' early, no better for some epochs' : ''}: ${result.epochs} epochs, ${result.steps} steps`
      : `stopped after step ${result.steps} of ${result.totalSteps}`,
  ]
  if (result.top1 !== null) lines.push(`top-1 ${percent(result.top1)}, top-5 ${percent(result.top5 ?? 0)}${bestText(result)}`)
  if (result.waitShare >= 0.01) lines.push(`${(100 * result.waitShare).toFixed(0)} % of the time waited for data`)
  if (result.badSamples > 0) lines.push(`${result.badSamples} images could not be read`)
  if (result.checkpoint !== null) lines.push(`saved in ${result.checkpoint}`)
  return lines
}

/** 75 s -> 1:15, 3675 s -> 1:01:15; '-' for what is not known. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-'
  const whole = Math.max(0, Math.round(seconds))
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60]
  const two = (n: number): string => String(n).padStart(2, '0')
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}

/** The same, with tenths below ten seconds: 2.4 s. */
export function shortDuration(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds)
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 100 * 2 ** 20 ? 1 : 0)} MiB`
}

function bestText(result: TrainResult): string {
  return result.best === null ? '' : `; best ${percent(result.best.top1)} in epoch ${result.best.epoch}`
}
