import type { Revision } from '@seamark/core'

/**
 * The index by which Consul's clients know a revision. It is one more, because to them 1 means that nothing was ever
 * written: they wait with it for what is not there yet, and it must not be what the first write leaves.
 */
export function indexAt(revision: Revision): number {
  return revision + 1
}
