/** Prints a hash of batches made of pictures of many sizes, enlarged, reduced and cut at every edge; run by instruction-sets.test.ts. */
import { createHash } from 'node:crypto'
import { fromArrays } from '../../lib/data/arrays.js'
import { loader } from '../../lib/data/loader.js'
import { evalTransform, trainTransform } from '../../lib/data/presets.js'
import { pseudoRandomBytes } from './helpers.js'

const hash = createHash('sha256')
for (const [width, height] of [
  [1, 1],
  [2, 3],
  [5, 4],
  [37, 53],
  [64, 64],
  [300, 7],
  [333, 250],
] as const) {
  const count = 6
  const images = pseudoRandomBytes(width * height * 3 * count, width * height)
  const dataset = fromArrays({ images, labels: new Int32Array(count), height, width })
  for (const interpolation of ['bilinear', 'bicubic'] as const) {
    for (const size of [7, 32]) {
      const train = trainTransform({ ...dataset, imageSize: null }, { augment: 'paper', size })
      const evaluation = evalTransform(dataset, { crop: size, resize: size + 3 })
      for (const transform of [train, evaluation]) {
        const settings = { batchSize: count, threads: 1, shuffle: false, dropLast: false, transform: { ...transform, interpolation } }
        for await (const batch of loader(dataset, settings)) hash.update(batch.images)
      }
    }
  }
}
process.stdout.write(hash.digest('hex'))
