/**
 * Collects the nodes and constants of an ONNX graph while a network's layers are translated. Values are called as the layers are; what a layer
 * needs besides has a `/` in its name, which layers' names never have.
 */
import type { Attribute, Initializer, Node } from './proto.js'

/** What the graph puts out. */
export const OUTPUT = 'logits'

export class GraphDraft {
  readonly nodes: Node[] = []
  readonly initializers: Initializer[] = []
  readonly #constants = new Map<string, string>()

  /** Adds a node and returns the name of its (first) output, which is `name` unless `outputs` says otherwise. */
  node(op: string, name: string, inputs: string[], attributes: Record<string, Attribute> = {}, outputs: string[] = [own(name)]): string {
    this.nodes.push({ op, name, inputs, outputs, attributes })
    return outputs[0]!
  }

  /** Adds a tensor and returns its name. */
  tensor(name: string, dims: readonly number[], data: Float32Array): string {
    this.initializers.push({ name, dims, data })
    return name
  }

  /** Whole numbers, such as a shape; equal lists become one. */
  integers(values: readonly number[]): string {
    const key = values.join()
    let name = this.#constants.get(key)
    if (name === undefined) {
      name = `shape/${this.#constants.size}`
      this.#constants.set(key, name)
      this.initializers.push({ name, dims: [values.length], data: BigInt64Array.from(values, BigInt) })
    }
    return name
  }
}

/** A layer may be called what the output is. */
function own(name: string): string {
  return name === OUTPUT ? `${name}/layer` : name
}
