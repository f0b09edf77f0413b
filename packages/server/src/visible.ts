import { type Clock, type Revision, SeamarkError } from '@seamark/core'

interface Replica {
  readonly revision: Revision
  reached(revision: Revision, signal?: AbortSignal): Promise<void>
}

/** Waits until a replica shows what was written at a revision, for at most `timeout` ms. */
export function visible(
  replica: Replica,
  clock: Clock,
  timeout: number,
): (revision: Revision) => Promise<void> {
  return async (revision) => {
    if (replica.revision >= revision) return
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
      await replica.reached(revision, giveUp.signal)
    } finally {
      timer.cancel()
    }
  }
}
