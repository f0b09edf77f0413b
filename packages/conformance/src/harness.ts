import {
  Backoff,
  type Engine,
  type Instance,
  type InstanceKey,
  isSeamarkError,
  type Source,
  sleep,
  systemClock,
  type Terms,
} from '@seamark/core'
import type { Time } from './time.ts'

/** Tests that an engine cannot pass, and why not. They are shown as skipped, with the reason. */
export interface Skip {
  readonly reason: string
  /** By their exact names; a name that no test has is an error. */
  readonly tests: readonly string[]
}

/** What may go wrong with a truth. A harness that cannot do one of these skips the tests that need it, and says why. */
export interface Breakable {
  /**
   * What holds the truth dies without a goodbye, and comes back with what it had kept. Resolves once handles can be
   * opened again; those opened before may be dead.
   */
  crash?(): Promise<void>
  /** Every connection of every handle breaks at once. New ones can be made, and handles recover by themselves. */
  disconnect?(): Promise<void>
}

/** One test's own world: nothing in it was there before, and no other test sees it. Disposing of it removes it. */
export interface Truth extends Breakable, AsyncDisposable {
  readonly time: Time
  /**
   * A handle on the truth; called several times in one test. An engine that can have only one handle answers the same
   * each time. The suite disposes of the handles before the truth.
   */
  open(): Promise<Engine>
}

/** What the suites must know of an engine. A limit of the engine is a number here, not a skipped test. */
export interface Harness {
  /** What the engine's documentation promises; its handles must say the same. */
  readonly terms: Terms
  /** Called before each test. */
  setup(): Promise<Truth>
  readonly skip?: readonly Skip[]
}

/** As `Truth`, for a source that is written by other means than Seamark's. */
export interface SourceTruth extends Breakable, AsyncDisposable {
  open(): Promise<Source>
  /** Resolves once the instance is there for the source to see, or has replaced the one of the same key. */
  publish(instance: Instance): Promise<void>
  withdraw(key: InstanceKey): Promise<void>
}

export interface SourceHarness {
  setup(): Promise<SourceTruth>
  readonly skip?: readonly Skip[]
}

/** An engine is a source that is written through its registry. */
export function sourceOf(harness: Harness): SourceHarness {
  return {
    ...harness,
    async setup() {
      const truth = await harness.setup()
      let writer = await truth.open()
      return {
        open: () => truth.open(),
        async publish(instance) {
          await persistently(() => writer.register(instance))
        },
        async withdraw(key) {
          await persistently(() => writer.deregister(key))
        },
        ...(truth.crash !== undefined && {
          async crash() {
            await truth.crash?.()
            await writer[Symbol.asyncDispose]()
            writer = await truth.open()
          },
        }),
        ...(truth.disconnect !== undefined && { disconnect: async () => truth.disconnect?.() }),
        async [Symbol.asyncDispose]() {
          await writer[Symbol.asyncDispose]()
          await truth[Symbol.asyncDispose]()
        },
      }
    },
  }
}

/** After a disconnect, a write may have to wait for the connection. Done twice, these do no harm. */
/** Writes, again while the engine is unavailable. */
export async function persistently(write: () => Promise<unknown>): Promise<void> {
  const backoff = new Backoff({ first: 10, most: 200 })
  for (let tries = 1; ; tries++)
    try {
      await write()
      return
    } catch (error) {
      if (!isSeamarkError(error, 'engine_unavailable') || tries === 100) throw error
      await sleep(systemClock, backoff.next())
    }
}
