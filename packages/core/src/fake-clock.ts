import type { Clock } from './clock.ts'

/** A clock that stands still until a test moves it. */
export interface FakeClock extends Clock {
  /** Lets `ms` pass: timers fire in the order of their times, and what they set in motion settles before the next. */
  advance(ms: number): Promise<void>
  /** Lets `ms` pass as in a suspended process: no timer fires until the next `advance`, and then they are late. */
  jump(ms: number): void
}

interface Pending {
  readonly at: number
  readonly callback: () => void
}

export function fakeClock(): FakeClock {
  let now = 1_000
  const pending = new Set<Pending>()

  function next(until: number): Pending | undefined {
    let first: Pending | undefined
    for (const timer of pending)
      if (timer.at <= until && (first === undefined || timer.at < first.at)) first = timer
    return first
  }

  return {
    now: () => now,
    date: () => 1_700_000_000_000 + now,
    after(delay, callback) {
      const timer = { at: now + delay, callback }
      pending.add(timer)
      return { cancel: () => pending.delete(timer) }
    },
    async advance(ms) {
      const until = now + ms
      await settled()
      for (let timer = next(until); timer !== undefined; timer = next(until)) {
        pending.delete(timer)
        now = Math.max(now, timer.at)
        timer.callback()
        await settled()
      }
      now = Math.max(now, until)
    },
    jump(ms) {
      now += ms
    },
  }
}

/** Two turns of the event loop: promises, `setImmediate` and I/O that is ready have been served. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
}
