/**
 * The kernels one by one (native/cuda/selftest) against float64 loops on the emulator, in every schedule of lanes: all that a candidate does
 * for its neighbours, odd shapes, padding, every width of groups.
 */
import { describeSelftest } from '../support/cuda-selftest.js'

describeSelftest('CUDA kernels', 'sknet_cuda_selftest', { up: null, down: null, random: null })
