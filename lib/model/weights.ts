/** A model's tensors: made from the seed when first asked for, replaced by setting. */
import { describe, nearest } from '../check.js'
import { SknetError } from '../errors.js'
import { initTensor } from './init.js'
import type { ModelSpec } from './spec.js'
import { elementCount, tensorInfos } from './tensors.js'

export class Weights {
  readonly #spec: ModelSpec
  readonly #seed: number
  readonly #values = new Map<string, Float32Array>()
  /** Gives newer numbers than these, until somebody asks for them. */
  #newer: (() => ReadonlyMap<string, Float32Array>) | null = null

  constructor(spec: ModelSpec, seed: number) {
    this.#spec = spec
    this.#seed = seed
  }

  /** All tensors in the spec's order; the arrays are the model's own. */
  all(): Map<string, Float32Array> {
    this.#fetch()
    const result = new Map<string, Float32Array>()
    for (const tensor of tensorInfos(this.#spec)) {
      const data = this.#values.get(tensor.name) ?? initTensor(this.#spec, tensor, this.#seed)
      this.#values.set(tensor.name, data)
      result.set(tensor.name, data)
    }
    return result
  }

  /**
   * Copies `tensors` in; all of them are checked before the first is written. `strict`: every tensor of the model must be there, and no other.
   * Throws ERR_SKNET_WEIGHTS naming the tensor.
   */
  set(tensors: ReadonlyMap<string, Float32Array>, strict: boolean): void {
    const infos = tensorInfos(this.#spec)
    const names = new Set(infos.map((tensor) => tensor.name))
    for (const name of tensors.keys()) {
      if (strict && !names.has(name)) throw weightsError(name, `The model has no tensor ${name}`, name, hintFor(name, [...names]))
    }
    for (const { name, shape } of infos) {
      const data = tensors.get(name)
      if (data === undefined) {
        if (strict) {
          throw weightsError(
            name,
            `The tensor ${name} is missing`,
            undefined,
            `Float32Array of ${elementCount(shape)} numbers (${shape.join('x')})`,
          )
        }
        continue
      }
      const expected = `a Float32Array of ${elementCount(shape)} numbers (${shape.join('x')})`
      if (!(data instanceof Float32Array) || data.length !== elementCount(shape)) {
        throw weightsError(name, `The tensor ${name} is ${describe(data)}; expected ${expected}`, data?.length, expected)
      }
    }
    this.#fetch()
    for (const { name } of infos) {
      const data = tensors.get(name)
      if (data !== undefined && data !== this.#values.get(name)) this.#values.set(name, data.slice())
    }
  }

  /**
   * From here on the numbers are those that `newer` gives when they are first asked for: all tensors, in arrays of their own. Returns what
   * fetches them before `newer` can give them no more; what `newer` throws comes to who asks, and they can be asked for again.
   */
  follow(newer: () => ReadonlyMap<string, Float32Array>): () => void {
    this.#newer = newer
    return () => {
      if (this.#newer === newer) this.#fetch()
    }
  }

  #fetch(): void {
    if (this.#newer === null) return
    for (const [name, data] of this.#newer()) this.#values.set(name, data)
    this.#newer = null
  }
}

function hintFor(name: string, names: readonly string[]): string {
  const guess = nearest(name, names)
  return guess === null ? "one of the model's tensors" : `one of the model's tensors, such as ${guess}`
}

function weightsError(tensor: string, message: string, got: unknown, expected: string): SknetError {
  return new SknetError('ERR_SKNET_WEIGHTS', message, { tensor, got, expected })
}
