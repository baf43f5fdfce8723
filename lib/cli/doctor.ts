/** `sknet doctor`: the machine, the devices and the libraries. */
import { doctor, type DoctorReport } from '../analysis/doctor.js'
import type { Command } from './command.js'
import { mebibytes } from './progress.js'

export const doctorCommand: Command = {
  name: 'doctor',
  about: 'Prints the machine, its devices, and what of the package can run on it.',
  flags: {},
  run: (_args, output) => {
    const report = doctor()
    for (const line of doctorLines(report)) output.say(line)
    output.emit({ type: 'result', ...report })
    return Promise.resolve(report.addon.loaded ? 0 : 1)
  },
}

export function doctorLines(report: DoctorReport): string[] {
  const { cpu, memory, addon } = report
  const rows: [string, string][] = [
    ['sknet', report.sknet],
    ['node', report.node],
    ['system', `${report.platform}${report.glibc === null ? '' : `, glibc ${report.glibc}`}`],
    ['native core', addon.loaded ? addon.version : `NOT LOADED: ${addon.error}`],
    ...(cpu === null ? [] : cpuRows(cpu)),
    [
      'memory',
      `${mebibytes(memory.total)}, ${mebibytes(memory.available)} available${memory.limit === null ? '' : `, limit ${mebibytes(memory.limit)}`}`,
    ],
    ...report.devices.map(({ name, available, reason, about }): [string, string] => [
      `device ${name}`,
      `${available ? 'available' : `not available: ${reason}`}${about === null ? '' : ` (${about})`}`,
    ]),
    ...report.libraries.map(({ name, path, version, reason }): [string, string] => [
      `library ${name}`,
      reason === null ? `${version}, ${path}` : `not used: ${reason}`,
    ]),
    ...Object.entries(report.environment),
  ]
  const width = Math.max(...rows.map(([name]) => name.length)) + 2
  return rows.map(([name, value]) => name.padEnd(width) + value)
}

function cpuRows(cpu: NonNullable<DoctorReport['cpu']>): [string, string][] {
  const forced = cpu.isaInUse === cpu.isa ? '' : ` (${cpu.isa} is possible)`
  return [
    ['processor', cpu.model],
    ['threads', String(cpu.threads)],
    ['instructions', `${cpu.isaInUse}${forced}; ${cpu.features.join(' ')}`],
  ]
}
