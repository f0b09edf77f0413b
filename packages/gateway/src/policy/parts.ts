import { type Entry, healthy, type Selection, type Snapshot, select } from '@seamark/core'
import type { Part } from '../ports.ts'

/** Of a rule without a canary. */
export const all: Part = { name: 'all', of: (snapshot) => snapshot }

export interface Parts {
  readonly canary: Part
  readonly rest: Part
}

/**
 * Parts a rule's instances in those that fit, and all others. A part in which nobody is healthy gives way to the other one: a
 * canary is no reason to refuse a request.
 */
export function parts(selection: Selection): Parts {
  const parted = new WeakMap<Snapshot, Readonly<Record<keyof Parts, Snapshot>>>()

  function partedOf(snapshot: Snapshot) {
    let both = parted.get(snapshot)
    if (both === undefined) {
      const fitting = new Set<Entry>(select(snapshot.entries, selection))
      const canary = part(snapshot, (entry) => fitting.has(entry))
      const rest = part(snapshot, (entry) => !fitting.has(entry))
      both = { canary: isUsable(canary) ? canary : rest, rest: isUsable(rest) ? rest : canary }
      if (!isUsable(canary) && !isUsable(rest)) both = { canary: snapshot, rest: snapshot }
      parted.set(snapshot, both)
    }
    return both
  }

  return {
    canary: { name: 'canary', of: (snapshot) => partedOf(snapshot).canary },
    rest: { name: 'rest', of: (snapshot) => partedOf(snapshot).rest },
  }
}

function part(snapshot: Snapshot, isIn: (entry: Entry) => boolean): Snapshot {
  return Object.freeze({ ...snapshot, entries: Object.freeze(snapshot.entries.filter(isIn)) })
}

function isUsable({ entries }: Snapshot): boolean {
  return healthy(entries).length > 0
}
