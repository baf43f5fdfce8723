/** What this machine offers and what the package found on it: the first thing to look at when something does not work. */
import { freemem, release, totalmem } from 'node:os'
import { SknetError } from '../errors.js'
import { native, type CpuInfo, type PluginReport } from '../native.js'
import { packageVersion } from '../version.js'

export interface DoctorReport {
  sknet: string
  node: string
  /** Such as linux-x64 and the kernel's release. */
  platform: string
  glibc: string | null
  addon: { loaded: true; version: string; error: null } | { loaded: false; version: null; error: string }
  /** null when the addon could not be loaded. */
  cpu: CpuInfo | null
  /** Bytes. `available` is what this process can still get, within its container's limit. */
  memory: { total: number; free: number; available: number; limit: number | null }
  devices: DeviceReport[]
  /** Vendors' libraries that the CUDA backend can use where they are; empty where that backend is not built. */
  libraries: PluginReport['libraries']
  /** Environment variables that change what the package does. */
  environment: Record<string, string>
}

export interface DeviceReport {
  name: string
  available: boolean
  /** Why not; null where it is. */
  reason: string | null
  /** What it is: model, memory, versions; null for the CPU, and where there is nothing to tell. */
  about: string | null
}

const VARIABLES = [
  'SKNET_ISA',
  'SKNET_PLUGIN_DIR',
  'SKNET_CUDA_GRAPHS',
  'SKNET_CUDNN_PATH',
  'SKNET_CUBLAS_PATH',
  'SKNET_NCCL_PATH',
  'CUDA_VISIBLE_DEVICES',
  'NO_COLOR',
  'NODE_OPTIONS',
  'PREBUILDS_ONLY',
]

/** Never throws for what it finds; a missing addon is part of the report. */
export function doctor(): DoctorReport {
  const { addon, cpu } = inspectAddon()
  return {
    sknet: packageVersion(),
    node: process.version,
    platform: `${process.platform}-${process.arch} ${release()}`,
    glibc: glibcVersion(),
    addon,
    cpu,
    memory: { total: totalmem(), free: freemem(), available: process.availableMemory(), limit: memoryLimit() },
    devices: [{ name: 'cpu', available: addon.loaded, reason: addon.error, about: null }, ...(addon.loaded ? cudaDevices() : [])],
    libraries: addon.loaded ? native().plugin('cuda').libraries : [],
    environment: Object.fromEntries(VARIABLES.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
  }
}

function inspectAddon(): Pick<DoctorReport, 'addon' | 'cpu'> {
  try {
    const binding = native()
    return { addon: { loaded: true, version: binding.version, error: null }, cpu: binding.cpuInfo() }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const message =
      error instanceof SknetError && error.hint !== undefined && !error.message.includes(error.hint)
        ? `${error.message}. ${error.hint}`
        : error.message
    return { addon: { loaded: false, version: null, error: message }, cpu: null }
  }
}

/** One entry a device; where there is none, one that says why. The emulated device is told of where its plugin was built. */
function cudaDevices(): DeviceReport[] {
  const real = native().plugin('cuda')
  const emulated = native().plugin('cuda-emulated')
  return [...devicesOf(real), ...(emulated.driver === null ? [] : devicesOf(emulated))]
}

function devicesOf({ name, reason, driver, runtime, devices }: PluginReport): DeviceReport[] {
  const versions = `driver for CUDA ${driver ?? '(none)'}, built with CUDA ${runtime}`
  if (reason !== null) return [{ name, available: false, reason, about: runtime === null ? null : versions }]
  return devices.map((device) => ({
    name: name === 'cuda' ? `cuda:${device.index}` : name,
    available: device.reason === null,
    reason: device.reason,
    about: `${device.name}, compute capability ${device.capability}, ${device.processors} processors, ${Math.round(device.bytes / 2 ** 20)} MiB; ${versions}`,
  }))
}

/** null on systems with another C library. */
function glibcVersion(): string | null {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return report.header?.glibcVersionRuntime ?? null
}

/** The container's limit, null where none is set: without one the system reports an absurdly large number, or 0. */
function memoryLimit(): number | null {
  const limit = process.constrainedMemory()
  return limit > 0 && limit < totalmem() ? limit : null
}
