/** A small network with selective kernels learns on the emulated device, in float32 and in bfloat16. */
import { expect } from 'chai'
import { native } from '../../lib/native.js'
import { networkShape } from '../reference/layer-tensors.js'
import { emulated, hasEmulatedDevice } from '../support/devices.js'
import { drawTensor } from '../support/layer-case.js'
import { random } from '../support/random.js'
import { mixedNetwork } from '../support/tiny-networks.js'

const steps = 20
const [batch, height, width, classes] = [8, 9, 8, 2]

describe('training on cuda-emulated', function () {
  if (!hasEmulatedDevice()) {
    it('the emulated device is not built')
    return
  }

  for (const precision of ['fp32', 'bf16'] as const) {
    it(`brings the loss down, ${precision}`, async () => {
      const r = random(5)
      const layers = mixedNetwork(classes)
      const { tensors } = networkShape(layers, [batch, height, width, 3])
      const parameters = tensors.filter(({ kind }) => kind === 'param').length
      const plan = new (native().Plan)({
        layers,
        input: { height, width, channels: 3 },
        mode: 'train',
        shardSize: batch / 2,
        shards: 2,
        threads: 1,
        device: emulated,
        precision,
        optimizer: { momentum: 0.9, nesterov: false, gradClip: 0, emaDecay: 0, weightDecay: new Float64Array(parameters) },
      })
      try {
        for (const info of tensors) plan.write('value', info.name, Float32Array.from(drawTensor(info, r).data))
        const losses: number[] = []
        for (let step = 0; step < steps; step++) {
          // The class is which half of the picture is brighter.
          const labels = Int32Array.from({ length: batch }, () => r.integer(classes))
          const images = Float32Array.from(r.normals(batch * height * width * 3), (noise, i) => {
            const [image, row] = [Math.floor(i / (height * width * 3)), Math.floor(i / (width * 3)) % height]
            return 0.5 * noise + (row < height / 2 === (labels[image] === 0) ? 1 : -1)
          })
          const chunk = await plan.trainBatch(images, labels, 0.02)
          losses.push(chunk.loss[0]!)
        }
        const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length
        expect(mean(losses.slice(-5)), losses.map((loss) => loss.toFixed(2)).join(' ')).to.be.below(0.5 * mean(losses.slice(0, 3)))
      } finally {
        plan.dispose()
      }
    })
  }
})
