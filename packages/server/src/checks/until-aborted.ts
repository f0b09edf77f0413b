/**
 * Settles as `promise` does, or rejects with the signal's reason as soon as it aborts: for work that cannot be
 * cancelled itself. For signals that live no longer than what they are waiting for.
 */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    promise.then(resolve, reject)
  })
}
