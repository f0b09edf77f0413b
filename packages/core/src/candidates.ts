import type { Entry } from './ports.ts'
import { digest, score } from './rendezvous.ts'
import { healthy } from './selection.ts'

/**
 * Those a request may be sent to: the passing ones; without any, those with a warning. When less than the share `panic` of
 * all is healthy, health says little of the instances and more of what looks at them: then all, but for those in maintenance (Envoy's
 * panic mode). 0 never panics.
 */
export function candidates(entries: readonly Entry[], panic = 0): readonly Entry[] {
  const wanted = entries.filter(({ health }) => health.status !== 'maintenance')
  const alive = wanted.filter(({ health }) => health.status !== 'critical')
  return alive.length < wanted.length * panic ? wanted : healthy(entries)
}

/**
 * The part of a large service that one caller talks to: `size` entries, the same ones while they are there. Every caller gets
 * others, so that all are talked to alike (rendezvous hashing, as gRPC's random subsetting, proposal A68).
 */
export function subset(entries: readonly Entry[], size: number, caller: string): readonly Entry[] {
  if (entries.length <= size) return entries
  const own = digest(caller)
  const scored = entries.map((entry) => ({
    entry,
    score: score(digest(entry.instance.id), own),
  }))
  return scored
    .sort((a, b) => b.score - a.score)
    .slice(0, size)
    .map(({ entry }) => entry)
}
