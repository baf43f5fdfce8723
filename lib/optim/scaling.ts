/** Learning rates for other batch sizes than the one a rate was found for. */
import { integer, number, oneOf } from '../check.js'

/**
 * The rate for `batchSize` where `lr` is right for `baseBatchSize`. `linear` keeps the weights' change an epoch (Goyal et al. 2017, up to
 * some thousand images with warm-up); `sqrt` keeps the noise of a step (Krizhevsky 2014; usual with LARS and LAMB).
 */
export function scaleLearningRate(lr: number, batchSize: number, baseBatchSize = 256, rule: 'linear' | 'sqrt' = 'linear'): number {
  const ratio = integer('batchSize', batchSize) / integer('baseBatchSize', baseBatchSize)
  return number('lr', lr, { min: 0 }) * (oneOf('rule', rule, ['linear', 'sqrt']) === 'linear' ? ratio : Math.sqrt(ratio))
}
