/** torchvision's RandomResizedCrop.get_params with our random numbers. The native one takes these crops: transform.test.ts. */
import { philoxStream } from './philox.js'

export interface CropRanges {
  area: readonly [number, number]
  aspect: readonly [number, number]
}

const usual: CropRanges = { area: [0.08, 1], aspect: [3 / 4, 4 / 3] }

export function drawCrop(w: number, h: number, key: { seed: number; epoch: number; sample: number }, ranges: CropRanges = usual) {
  const { area, aspect } = ranges
  const random = philoxStream(key.seed, key.epoch, key.sample, 'crop')
  for (let i = 0; i < 10; i++) {
    const target = w * h * (area[0] + (area[1] - area[0]) * random.uniform())
    const ratio = Math.exp(Math.log(aspect[0]) + (Math.log(aspect[1]) - Math.log(aspect[0])) * random.uniform())
    const cw = Math.round(Math.sqrt(target * ratio))
    const ch = Math.round(Math.sqrt(target / ratio))
    if (cw < 1 || ch < 1 || cw > w || ch > h) continue
    const y = random.below(h - ch + 1)
    const x = random.below(w - cw + 1)
    return { x, y, w: cw, h: ch }
  }
  const ratio = w / h
  const cw = ratio > aspect[1] ? Math.round(h * aspect[1]) : w
  const ch = ratio < aspect[0] ? Math.round(w / aspect[0]) : h
  return { x: Math.floor((w - cw) / 2), y: Math.floor((h - ch) / 2), w: cw, h: ch }
}
