import type { Revision } from '@seamark/core'

interface Grave {
  readonly key: string
  readonly revision: Revision
}

/** Removals remembered; past twice as many, the older half is forgotten. */
const kept = 4_096

/**
 * When keys were removed, so that the index of a list does not fall with its highest element. What was forgotten, or
 * happened before this server looked, counts for everything: an index too high makes a watcher look once more, one too
 * low would let it miss something.
 */
export class Graveyard {
  /** In the order of their revisions. */
  #graves: Grave[] = []
  #floor: Revision = 0

  add(key: string, revision: Revision): void {
    this.#graves.push({ key, revision })
    if (this.#graves.length < 2 * kept) return
    this.raise(this.#graves[kept - 1]!.revision)
    this.#graves = this.#graves.slice(kept)
  }

  /** Nothing is known of what was removed up to here. */
  raise(revision: Revision): void {
    this.#floor = Math.max(this.#floor, revision)
  }

  /** The latest removal of this very key that may have been, or a lower number. */
  of(key: string): Revision {
    return Math.max(
      this.#floor,
      this.#latest((grave) => grave.key === key, 0),
    )
  }

  /** The latest removal under the prefix that may have been; `least` when that is higher. */
  under(prefix: string, least: Revision): Revision {
    const from = Math.max(this.#floor, least)
    return Math.max(
      from,
      this.#latest(({ key }) => key.startsWith(prefix), from),
    )
  }

  #latest(fits: (grave: Grave) => boolean, above: Revision): Revision {
    for (let at = this.#graves.length - 1; at >= 0; at--) {
      const grave = this.#graves[at]!
      if (grave.revision <= above) return 0
      if (fits(grave)) return grave.revision
    }
    return 0
  }
}
