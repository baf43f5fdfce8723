/** What this machine offers and what the package found on it: the first thing to look at when something does not work. */
import { freemem, release, totalmem } from 'node:os'
import { SknetError } from '../errors.js'
import { native, type CpuInfo } from '../native.js'
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
  devices: { name: string; available: boolean; reason: string | null }[]
  /** Environment variables that change what the package does. */
  environment: Record<string, string>
}

const VARIABLES = ['SKNET_ISA', 'NO_COLOR', 'NODE_OPTIONS', 'PREBUILDS_ONLY']

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
    devices: [
      { name: 'cpu', available: addon.loaded, reason: addon.error },
      { name: 'cuda', available: false, reason: 'this build has no CUDA backend' },
    ],
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
