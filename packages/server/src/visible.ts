import { type Catalog, type Clock, type Revision, SeamarkError } from '@seamark/core'

/** Waits until the catalog shows what was written at a revision, for at most `timeout` ms. */
export function visible(
  catalog: Catalog,
  clock: Clock,
  timeout: number,
): (revision: Revision) => Promise<void> {
  return async (revision) => {
    if (catalog.revision >= revision) return
    const giveUp = new AbortController()
    const timer = clock.after(timeout, () =>
      giveUp.abort(
        new SeamarkError(
          'timeout',
          `It is written (revision ${revision}), but after ${timeout} ms the server does not see it yet: the engine's watch is late.`,
        ),
      ),
    )
    try {
      await catalog.reached(revision, giveUp.signal)
    } finally {
      timer.cancel()
    }
  }
}
