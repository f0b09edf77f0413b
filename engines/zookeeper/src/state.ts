import { type CheckResult, type Health, health, passing, type Revision } from '@seamark/core'

/**
 * What Curator knows nothing of, in one node per instance: every write of ours to an instance but renewals replaces it,
 * and names the version it saw, so that two writers cannot overwrite each other.
 */
export interface State {
  readonly lease: { readonly digest: string; readonly ttl?: number } | undefined
  readonly health: Health
  /** At which the health was last written. */
  readonly reported: Revision
  /** The fences of the claims held, by name. */
  readonly claims: ReadonlyMap<string, Revision>
}

/**
 * A state to be written. A revision that is `null` is that of the write itself: who writes cannot know it yet. Who reads
 * finds it as the node's own, and writes it down when replacing the state for another reason.
 */
export interface NewState extends Pick<State, 'lease' | 'health'> {
  readonly reported: Revision | null
  readonly claims: ReadonlyMap<string, Revision | null>
}

export const noState: State = { lease: undefined, health: passing, reported: 0, claims: new Map() }

export function stateJson({ lease, health, reported, claims }: NewState): Buffer {
  return Buffer.from(JSON.stringify({ lease, health: health.checks, reported, claims: [...claims] }))
}

/** Reads a state, of a node that was last written at that revision. Throws when it is none. */
export function stateOf(data: Buffer, revision: Revision): State {
  const {
    lease,
    health: checks,
    reported,
    claims,
  } = JSON.parse(data.toString()) as {
    lease?: { digest: string; ttl?: number }
    health: CheckResult[]
    reported: Revision | null
    claims: [string, Revision | null][]
  }
  return {
    lease,
    health: health(checks.map(({ id, status, output }) => Object.freeze({ id, status, output }))),
    reported: reported ?? revision,
    claims: new Map(claims.map(([name, fence]) => [name, fence ?? revision])),
  }
}
