/** Antialiased resizing in float64, straight from its definition: every output pixel is a weighted mean under the stretched filter. */

export interface Picture {
  data: ArrayLike<number>
  width: number
  height: number
}

const filters = {
  bilinear: { support: 1, value: (x: number) => Math.max(0, 1 - Math.abs(x)) },
  // Keys' cubic with a = -1/2.
  bicubic: {
    support: 2,
    value: (x: number) => {
      const t = Math.abs(x)
      if (t < 1) return 1.5 * t ** 3 - 2.5 * t ** 2 + 1
      return t < 2 ? -0.5 * t ** 3 + 2.5 * t ** 2 - 4 * t + 2 : 0
    },
  },
}

/**
 * [height, width, 3] in 0..255. Samples whose centre is within the filter's reach and inside the picture count. Columns first, then rows;
 * bicubic overshoot is cut off after each, as there is no room for it in 8 bits.
 */
export function resizeReference(picture: Picture, width: number, height: number, interpolation: 'bilinear' | 'bicubic'): Float64Array {
  const columns = axisWeights(picture.width, width, interpolation)
  const rows = axisWeights(picture.height, height, interpolation)
  const clamp = (v: number) => Math.min(255, Math.max(0, v))
  const wide = new Float64Array(picture.height * width * 3)
  for (let i = 0; i < wide.length; i++) {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    wide[i] = clamp(columns[x]!.reduce((sum, [k, w]) => sum + w * picture.data[(y * picture.width + k) * 3 + c]!, 0))
  }
  return Float64Array.from({ length: width * height * 3 }, (_, i) => {
    const [rest, y] = [i % (width * 3), Math.floor(i / 3 / width)]
    return clamp(rows[y]!.reduce((sum, [k, w]) => sum + w * wide[k * width * 3 + rest]!, 0))
  })
}

function axisWeights(from: number, to: number, interpolation: 'bilinear' | 'bicubic'): [index: number, weight: number][][] {
  const { support, value } = filters[interpolation]
  const scale = from / to
  const stretch = Math.max(scale, 1)
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale
    const weights: [number, number][] = []
    for (let k = 0; k < from; k++) {
      const weight = value((k + 0.5 - center) / stretch)
      if (Math.abs(k + 0.5 - center) < support * stretch && weight !== 0) weights.push([k, weight])
    }
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
    return weights.map(([k, weight]) => [k, weight / total])
  })
}
