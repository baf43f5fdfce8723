import { temporaryFolder } from '../e2e/cli.js'
import { hundredEpochs } from '../e2e/hundred-epochs.js'

describe('nightly: a hundred epochs', () => {
  const folder = temporaryFolder()

  it('of recipe large on some hundred images, killed once before a drop, end with the same bits', () =>
    hundredEpochs(folder.path(), { images: 512, batch: 64, size: 16 }))
})
