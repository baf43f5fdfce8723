/** What data must be like before the first step: enough images, labels that the model has classes for. */
import type { Dataset } from '../data/dataset.js'
import { SknetError } from '../errors.js'
import type { TrainOptions } from './option-types.js'

/** Throws ERR_SKNET_DATA for the first label that is no class of the model. */
export function checkLabels(dataset: Dataset, classes: number): void {
  const labels = dataset.labels()
  const at = labels.findIndex((label) => label < 0 || label >= classes)
  if (at < 0) return
  const where = `image ${at} of the ${dataset.split} images${dataset.path === '' ? '' : ` of ${dataset.path}`}`
  throw new SknetError('ERR_SKNET_DATA', `Label ${labels[at]} at ${where} is beyond the model's ${classes} classes`, {
    option: 'classes',
    ...(dataset.path === '' ? {} : { path: dataset.path }),
    got: labels[at],
    expected: `labels from 0 to ${classes - 1}`,
    hint: `Make the model with classes: ${Math.max(dataset.classes, labels.reduce((a, b) => Math.max(a, b), 0) + 1)}`,
  })
}

/** Throws ERR_SKNET_OPTION when there is not one full batch. */
export function checkBatch(train: Dataset, options: TrainOptions): void {
  if (train.size >= options.batchSize) return
  throw new SknetError('ERR_SKNET_OPTION', `A batch has ${options.batchSize} images and the training set only ${train.size}`, {
    option: 'batchSize',
    got: options.batchSize,
    expected: `at most ${train.size}`,
    hint: 'Choose a smaller batch size',
  })
}
