/**
 * ONNX Runtime for Node as a peer, where it is installed: SKNET_ONNXRUNTIME names a folder that holds its node_modules
 * (`npm install --ignore-scripts --prefix FOLDER onnxruntime-node`). It is no dependency.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'

interface Tensor {
  dims: readonly number[]
  data: Float32Array
}

export interface Runtime {
  Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => Tensor
  InferenceSession: { create(path: string): Promise<{ run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> }> }
}

/** null where it is not installed. */
export function onnxRuntime(): Runtime | null {
  const folder = process.env.SKNET_ONNXRUNTIME ?? process.cwd()
  try {
    return createRequire(join(folder, 'package.json'))('onnxruntime-node') as Runtime
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return null
    throw error
  }
}
