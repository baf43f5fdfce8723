/** Where plans run: what people write as a device, and which one it is on this machine. */
import { badOption } from './check.js'
import { SknetError } from './errors.js'
import { callNative, type PluginReport } from './native.js'

export const DEVICES = 'auto, cpu, cuda, cuda:N or cuda-emulated'

/** Whether `value` is written as a device is. */
export function isDevice(value: unknown): value is string {
  return typeof value === 'string' && /^(auto|cpu|cuda|cuda:\d{1,3}|cuda-emulated)$/.test(value)
}

/**
 * The device that `asked` means here, as plans name it: cpu, cuda:N or cuda-emulated. `auto` is the first CUDA device that plans can run on, or cpu.
 * @throws ERR_SKNET_OPTION for what is no device, ERR_SKNET_DEVICE saying why it cannot be used
 */
export function resolveDevice(asked: unknown = 'auto'): string {
  if (!isDevice(asked)) return badOption('device', asked, DEVICES)
  if (asked === 'cpu') return asked
  const report = callNative((binding) => binding.plugin(asked === 'cuda-emulated' ? asked : 'cuda'))
  if (asked === 'auto') return firstUsable(report) ?? 'cpu'
  const index = asked.startsWith('cuda:') ? Number(asked.slice(5)) : 0
  const device = report.devices[index]
  const reason = report.reason ?? (device === undefined ? 'there is no such device' : device.reason)
  if (reason === null) return asked === 'cuda' ? 'cuda:0' : asked
  throw new SknetError('ERR_SKNET_DEVICE', `device is '${asked}', but it cannot be used: ${reason}`, {
    option: 'device',
    got: asked,
    expected: firstUsable(report) ?? 'cpu',
    path: report.path,
    hint: 'sknet doctor tells which devices there are',
  })
}

function firstUsable(report: PluginReport): string | null {
  const device = report.devices.find(({ reason }) => reason === null)
  if (report.reason !== null || device === undefined) return null
  return report.name === 'cuda' ? `cuda:${device.index}` : report.name
}

/** A resolved device in words: its name and what it is. */
export function describeDevice(device: string): string {
  if (device === 'cpu') return device
  const { devices, runtime } = callNative((binding) => binding.plugin(device === 'cuda-emulated' ? device : 'cuda'))
  const found = devices[device.startsWith('cuda:') ? Number(device.slice(5)) : 0]
  return found === undefined ? device : `${device} ${found.name} (compute capability ${found.capability}, CUDA ${runtime})`
}
