/** Where all of Seamark takes its time from, so that tests can drive it. */
export interface Clock {
  /** Milliseconds on a clock that never goes back; for deadlines and durations. */
  now(): number
  /** Milliseconds since 1970; for people and logs, never for deadlines. */
  date(): number
  /** Calls back once, no sooner than `delay` ms from now. A pending timer does not keep the process alive. */
  after(delay: number, callback: () => void): Timer
}

export interface Timer {
  cancel(): void
}

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => Date.now(),
  after(delay, callback) {
    const timeout = setTimeout(callback, delay)
    timeout.unref()
    return { cancel: () => clearTimeout(timeout) }
  },
}

/** Resolves after `delay` ms; rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, delay: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = clock.after(delay, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    function onAbort() {
      timer.cancel()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
