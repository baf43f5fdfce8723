import { native } from '../../lib/native.js'

export const emulated = 'cuda-emulated'

/** Whether this build has the plugin that runs CUDA's kernels on the CPU. */
export function hasEmulatedDevice(): boolean {
  return native().plugin('cuda-emulated').driver !== null
}
