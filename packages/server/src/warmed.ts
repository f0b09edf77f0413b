import { type Clock, SeamarkError } from '@seamark/core'

/** What is told once of everything there is. */
interface Replica {
  warm(signal?: AbortSignal): Promise<void>
}

/** Waits until the replica knows what there is, for at most `timeout` ms. Throws `engine_unavailable`. */
export async function warmed(replica: Replica, clock: Clock, timeout: number): Promise<void> {
  const giveUp = new AbortController()
  const timer = clock.after(timeout, () =>
    giveUp.abort(
      new SeamarkError(
        'engine_unavailable',
        'The engine has not yet told what is registered: try again later.',
      ),
    ),
  )
  try {
    await replica.warm(giveUp.signal)
  } finally {
    timer.cancel()
  }
}
