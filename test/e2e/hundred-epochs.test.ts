import { temporaryFolder } from './cli.js'
import { hundredEpochs } from './hundred-epochs.js'

describe('e2e: a hundred epochs', function () {
  this.timeout(300_000)
  const folder = temporaryFolder()

  it('of recipe large drop the rate at 30, 60 and 90 and survive a kill before a drop, bit for bit', () =>
    hundredEpochs(folder.path(), { images: 64, batch: 32, size: 8 }))
})
