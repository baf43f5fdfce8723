/**
 * Groups of tensors with settings of their own, for fine-tuning: another rate for the head, no weight decay somewhere, layers that stay as
 * they are. A tensor belongs to the first group whose pattern fits its name, or to none.
 */
import { badOption, boolean, knownKeys, number, text } from '../check.js'
import { SknetError } from '../errors.js'

export interface ParameterGroup {
  /** Tensor names, `*` standing for any text: `fc.*`, `layer1.*`, `*.bn*.bias`. */
  match: string
  /** What the run's rate is multiplied with; 1 unless given. */
  lr?: number
  /** Instead of the run's, on every tensor of the group whatever its dimensions. */
  weightDecay?: number
  /** true: no update. Its gradient counts in no norm; batch norms of frozen layers still normalise by their batch. */
  frozen?: boolean
}

/** Throws ERR_SKNET_OPTION naming the place in the list. */
export function checkGroups(option: string, groups: readonly unknown[]): ParameterGroup[] {
  return groups.map((group, i) => {
    const path = `${option}[${i}]`
    const { match, lr, weightDecay, frozen } = knownKeys(path, group, ['match', 'lr', 'weightDecay', 'frozen'])
    if (text(`${path}.match`, match) === '') badOption(`${path}.match`, match, 'a pattern of tensor names, such as fc.*')
    return {
      match: match as string,
      ...(lr === undefined ? {} : { lr: number(`${path}.lr`, lr, { min: 0, max: 1e6 }) }),
      ...(weightDecay === undefined ? {} : { weightDecay: number(`${path}.weightDecay`, weightDecay, { min: 0, max: 1e3 }) }),
      ...(frozen === undefined ? {} : { frozen: boolean(`${path}.frozen`, frozen) }),
    }
  })
}

/** The group of each name, null for none. Throws ERR_SKNET_OPTION for a pattern that fits no name at all: most likely it is misspelt. */
export function groupsOf(groups: readonly ParameterGroup[], names: readonly string[]): (ParameterGroup | null)[] {
  const patterns = groups.map(({ match }) => new RegExp(`^${match.split('*').map(literal).join('.*')}$`))
  for (const [i, pattern] of patterns.entries()) {
    if (names.some((name) => pattern.test(name))) continue
    const details = {
      option: `optimizer.groups[${i}].match`,
      got: groups[i]!.match,
      expected: `a pattern that fits a tensor, such as ${names[0] ?? '*'}`,
    }
    throw new SknetError('ERR_SKNET_OPTION', `optimizer.groups[${i}].match '${groups[i]!.match}' fits no tensor of the model`, details)
  }
  return names.map((name) => groups[patterns.findIndex((pattern) => pattern.test(name))] ?? null)
}

function literal(part: string): string {
  return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
