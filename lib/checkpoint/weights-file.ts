/** Which kind of weights file a path holds, told by its first bytes (Caffe's by its ending), and its tensors. */
import { open, stat } from 'node:fs/promises'
import { SknetError } from '../errors.js'
import { readCaffeFile } from './caffe-file.js'
import type { CaffeFile } from './caffe-file.js'
import { readAll } from './files.js'
import { readSafetensorsFile } from './safetensors.js'
import type { SafeTensor } from './safetensors.js'
import { formatError } from './safetensors-header.js'
import { readTorchFile } from './torch-file.js'

export type WeightsFormat = 'safetensors' | 'torch' | 'caffe'

export interface WeightsFile {
  format: WeightsFormat
  /** Of a safetensors file; else empty. */
  metadata: ReadonlyMap<string, string>
  tensors: ReadonlyMap<string, SafeTensor>
  /** What a .caffemodel says of its layers besides. */
  caffe?: Pick<CaffeFile, 'pools' | 'eps'>
}

/** Throws ERR_SKNET_FORMAT for what is no weights file, is damaged, or asks for code. */
export async function readWeightsFile(path: string): Promise<WeightsFile> {
  try {
    switch (await formatOf(path)) {
      case 'safetensors':
        return { format: 'safetensors', ...(await readSafetensorsFile(path)) }
      case 'torch':
        return { format: 'torch', metadata: new Map(), tensors: await readTorchFile(path) }
      case 'caffe': {
        const { tensors, ...caffe } = await readCaffeFile(path)
        return { format: 'caffe', metadata: new Map(), tensors, caffe }
      }
    }
  } catch (cause) {
    if (cause instanceof SknetError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    throw formatError(path, `cannot be read: ${message}`, { got: code, expected: 'a readable file', cause })
  }
}

async function formatOf(path: string): Promise<WeightsFormat> {
  // Opening a pipe would wait for someone to write into it.
  if (!(await stat(path)).isFile()) throw formatError(path, 'this is no file', { expected: 'a weights file' })
  // Nothing in a protobuf message says what it is of.
  if (path.endsWith('.caffemodel')) return 'caffe'
  const first = new Uint8Array(9)
  const file = await open(path, 'r')
  try {
    await readAll(file, first, 0)
  } finally {
    await file.close()
  }
  // A safetensors file begins with any 8 bytes; its header, a JSON object, follows.
  if ('{ \t\r\n'.includes(String.fromCharCode(first[8]!))) return 'safetensors'
  if (first[0] === 0x50 && first[1] === 0x4b) return 'torch'
  // A pickle outside an archive: PyTorch before 1.6, or anything else that Python saved.
  if (first[0] !== 0x80 || first[1]! < 2 || first[1]! > 5) return 'safetensors'
  const hint = "In Python: torch.save(torch.load('old.pth', weights_only=True), 'new.pth')"
  throw formatError(path, `this is a bare pickle, PyTorch's format before version 1.6. Save it anew. ${hint}`, {
    got: 'a pickle',
    expected: "PyTorch's zip format or safetensors",
    hint,
  })
}
