/** Options of the network itself on the command line: `--set model.branches=3`, `--set model.attention=false`. */
import { isObject } from '../check.js'
import type { CreateOptions } from '../model/registry.js'
import { usageError, type Flag } from './command.js'

export const modelSetFlag: Flag = {
  kind: 'list',
  value: 'model.option=value',
  about: "the network's own options, such as model.branches=3 or model.attention=false; may be repeated",
}

/** What follows from the data and from --seed. */
const DERIVED: Record<string, string> = { classes: 'they follow the data', seed: '--seed sets it' }

/** Parts `model.<option>=value` from the other settings. A value is JSON where it is that, else text. Throws ERR_SKNET_OPTION. */
export function splitSettings(settings: readonly string[]): { model: CreateOptions; others: string[] } {
  const own = settings.filter((setting) => setting.startsWith('model.'))
  return { model: modelOptions(Object.fromEntries(own.map(parsed))), others: settings.filter((setting) => !own.includes(setting)) }
}

/** The same from a configuration file. What an option's value may be is for the network to say. */
export function modelOptions(value: unknown): CreateOptions {
  if (!isObject(value))
    throw usageError('modelOptions is no object', 'modelOptions', { got: value, expected: "an object of the network's options" })
  for (const [key, reason] of Object.entries(DERIVED)) {
    if (key in value)
      throw usageError(`model.${key} cannot be set: ${reason}`, `model.${key}`, { got: value[key], expected: 'no such option here' })
  }
  return value
}

/** Where only the network's options can be set. */
export function onlyModelOptions(settings: readonly string[]): CreateOptions {
  const { model, others } = splitSettings(settings)
  if (others[0] !== undefined)
    throw usageError(`--set ${others[0]} is no option of the network`, 'set', { got: others[0], expected: 'model.option=value' })
  return model
}

function parsed(setting: string): [string, unknown] {
  const at = setting.indexOf('=')
  const key = setting.slice('model.'.length, at)
  if (at < 0 || key === '') throw usageError(`--set ${setting} has no value`, 'set', { got: setting, expected: 'model.option=value' })
  const text = setting.slice(at + 1)
  try {
    return [key, JSON.parse(text)]
  } catch {
    return [key, text]
  }
}
