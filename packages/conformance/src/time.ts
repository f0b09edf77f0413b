import type { FakeClock } from '@seamark/core/testing'

/** The time an engine's leases live in, as a harness moves it. */
export interface Time {
  /** Milliseconds on a clock that never goes back. */
  now(): number
  /** Resolves once `ms` have passed for the engine. */
  elapse(ms: number): Promise<void>
  /** Milliseconds by which a moment may be missed: what `elapse` oversleeps, and what a change takes to arrive. */
  readonly precision: number
  /** Whether time stands still between two calls of `elapse`. */
  readonly driven: boolean
}

/** For engines that take their time from the given clock: no test waits for it. */
export function drivenTime(clock: FakeClock): Time {
  return { now: () => clock.now(), elapse: (ms) => clock.advance(ms), precision: 1, driven: true }
}

/** For engines that live in the world's time. `precision` (ms) defaults to 250, for a machine with other things to do. */
export function realTime(precision = 250): Time {
  return {
    now: () => performance.now(),
    elapse: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    precision,
    driven: false,
  }
}
