import { Backoff, isSeamarkError, type Revision, sleep, systemClock } from '@seamark/core'

interface Batched {
  readonly revision: Revision
  readonly changes: readonly { readonly type: string }[]
}

/** What is done with a watch's batches. */
export interface FollowingPlan<B extends Batched> {
  watch(signal: AbortSignal): AsyncIterable<B>
  /** What of the watch's contract a batch breaks, beside the order of batches. */
  fault(batch: B): string | undefined
  apply(batch: B): void
  /** The state that was told so far, for messages. */
  seen(): string
}

export interface FollowerOptions {
  /** Watches again when the engine is unavailable, as the catalog does. Default false: that is a failure. */
  persistent?: boolean
  /** Milliseconds (of the real clock) that `until` waits at most. Default 20,000. */
  patience?: number
}

/** A watch that is read as its batches arrive, and held to its contract. */
export interface Following<B extends Batched> extends AsyncDisposable {
  /** All that arrived. */
  readonly batches: readonly B[]
  /** Of the last batch; -1 before the first. */
  readonly revision: Revision
  /**
   * Resolves as soon as `holds` answers true; it is asked after each batch, and not before the first. Rejects when the watch broke its contract,
   * failed or ended, and after `patience`, with `what` in the message.
   */
  until(what: string, holds: () => boolean): Promise<void>
  /** Resolves once everything up to `revision` was seen. */
  reached(revision: Revision): Promise<void>
  /** Resolves when the watch is over; rejects with what it threw. */
  readonly ended: Promise<void>
}

interface Waiting {
  readonly holds: () => boolean
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export function following<B extends Batched>(
  plan: FollowingPlan<B>,
  { persistent = false, patience = 20_000 }: FollowerOptions = {},
): Following<B> {
  const controller = new AbortController()
  const batches: B[] = []
  const waiting = new Set<Waiting>()
  let revision: Revision = -1
  let failure: Error | undefined
  let over = false

  async function run(): Promise<void> {
    const backoff = new Backoff({ first: 10, most: 200 })
    while (true) {
      try {
        let first = true
        for await (const batch of plan.watch(controller.signal)) {
          take(batch, first)
          first = false
          backoff.reset()
        }
        return
      } catch (error) {
        if (!persistent || !isSeamarkError(error, 'engine_unavailable')) throw error
        await sleep(systemClock, backoff.next(), controller.signal).catch(() => undefined)
        if (controller.signal.aborted) return
      }
    }
  }

  function take(batch: B, first: boolean): void {
    const problem = fault(batch, first)
    if (problem !== undefined) throw new Error(`The watch broke its contract: ${problem}. ${show(batch)}`)
    batches.push(batch)
    plan.apply(batch)
    revision = batch.revision
    for (const one of waiting) if (one.holds()) one.resolve()
  }

  function fault(batch: B, first: boolean): string | undefined {
    const [head] = batch.changes
    if (!Number.isSafeInteger(batch.revision) || batch.revision < 0) return 'a revision is no safe integer'
    if (first && head?.type !== 'reset') return 'its first change is no reset'
    if (head?.type !== 'reset' && batch.revision <= revision)
      return `its revision did not grow from ${revision}`
    return plan.fault(batch)
  }

  function seen(): string {
    return `Seen: ${plan.seen()} at revision ${revision}, in ${batches.length} batches.`
  }

  const ended = run().then(
    () => {
      over = true
      for (const one of waiting) one.reject(new Error(`The watch ended. ${seen()}`))
    },
    (error: unknown) => {
      over = true
      failure = error instanceof Error ? error : new Error(String(error))
      for (const one of waiting) one.reject(failure)
      throw failure
    },
  )
  ended.catch(() => undefined)

  function until(what: string, holds: () => boolean): Promise<void> {
    if (failure !== undefined) return Promise.reject(failure)
    if (batches.length > 0 && holds()) return Promise.resolve()
    if (over) return Promise.reject(new Error(`The watch ended before: ${what}. ${seen()}`))
    return new Promise((resolve, reject) => {
      const timeout = setTimeout(() => {
        one.reject(new Error(`Waited ${patience} ms in vain for: ${what}. ${seen()}`))
      }, patience)
      const one: Waiting = {
        holds,
        resolve() {
          clearTimeout(timeout)
          waiting.delete(one)
          resolve()
        },
        reject(error) {
          clearTimeout(timeout)
          waiting.delete(one)
          reject(error)
        },
      }
      waiting.add(one)
    })
  }

  return {
    batches,
    get revision() {
      return revision
    },
    ended,
    until,
    reached: (wanted) => until(`revision ${wanted}`, () => revision >= wanted),
    async [Symbol.asyncDispose]() {
      controller.abort()
      await ended
    },
  }
}

function show(batch: unknown): string {
  const text = JSON.stringify(batch)
  return text.length > 2_000 ? `${text.slice(0, 2_000)}…` : text
}
