import {
  Backoff,
  type Batch,
  type Change,
  type ClaimKey,
  type Directory,
  type Entry,
  type Holder,
  type InstanceKey,
  instanceId,
  isSeamarkError,
  type Revision,
  type ServiceKey,
  type Source,
  serviceId,
  sleep,
  systemClock,
} from '@seamark/core'

/** The state that a watch tells, folded from its batches as they arrive. It holds the watch to its contract, too. */
export interface Follower extends AsyncDisposable {
  /** By `instanceId`. */
  readonly entries: ReadonlyMap<string, Entry>
  /** By `instanceId`, with the claim's name as the id. */
  readonly holders: ReadonlyMap<string, Holder>
  /** All that arrived. */
  readonly batches: readonly Batch[]
  /** Of the last batch; -1 before the first. */
  readonly revision: Revision
  entry(key: InstanceKey): Entry | undefined
  holder(claim: ClaimKey): Holder | undefined
  /**
   * Resolves as soon as `holds` answers true; it is asked after each batch, and not before the first. Rejects when the watch broke its contract,
   * failed or ended, and after `patience`, with `what` in the message.
   */
  until(what: string, holds: (follower: Follower) => boolean): Promise<void>
  /** Resolves once everything up to `revision` was seen. */
  reached(revision: Revision): Promise<void>
  /** Resolves when the watch is over; rejects with what it threw. */
  readonly ended: Promise<void>
}

export interface FollowerOptions {
  /** Watches again when the engine is unavailable, as the catalog does. Default false: that is a failure. */
  persistent?: boolean
  /** Milliseconds (of the real clock) that `until` waits at most. Default 20,000. */
  patience?: number
}

/** Follows services of a source. */
export function follower(
  source: Source,
  services: readonly ServiceKey[],
  options?: FollowerOptions,
): Follower {
  const covered = new Set(services.map(serviceId))
  return follow(
    (signal) => source.watch(services, signal),
    (key) => covered.has(serviceId(key)),
    options,
  )
}

/** Follows everything that a directory has. */
export function directoryFollower(directory: Directory, options?: FollowerOptions): Follower {
  return follow(
    (signal) => directory.watchAll(signal),
    () => true,
    options,
  )
}

interface Waiting {
  readonly holds: () => boolean
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

function follow(
  watch: (signal: AbortSignal) => AsyncIterable<Batch>,
  covers: (key: ServiceKey) => boolean,
  { persistent = false, patience = 20_000 }: FollowerOptions = {},
): Follower {
  const controller = new AbortController()
  const entries = new Map<string, Entry>()
  const holders = new Map<string, Holder>()
  const batches: Batch[] = []
  const waiting = new Set<Waiting>()
  let revision: Revision = -1
  let failure: Error | undefined
  let over = false

  async function run(): Promise<void> {
    const backoff = new Backoff({ first: 10, most: 200 })
    while (true) {
      try {
        let first = true
        for await (const batch of watch(controller.signal)) {
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

  function take(batch: Batch, first: boolean): void {
    const problem = fault(batch, first)
    if (problem !== undefined) throw new Error(`The watch broke its contract: ${problem}. ${show(batch)}`)
    batches.push(batch)
    for (const change of batch.changes) apply(change)
    revision = batch.revision
    for (const one of waiting) if (one.holds()) one.resolve()
  }

  function fault(batch: Batch, first: boolean): string | undefined {
    const [head] = batch.changes
    if (!Number.isSafeInteger(batch.revision) || batch.revision < 0) return 'a revision is no safe integer'
    if (first && head?.type !== 'reset') return 'its first change is no reset'
    if (head?.type !== 'reset' && batch.revision <= revision)
      return `its revision did not grow from ${revision}`
    for (const change of batch.changes) {
      const problem = changeFault(change, batch.revision)
      if (problem !== undefined) return problem
    }
    return undefined
  }

  function changeFault(change: Change, at: Revision): string | undefined {
    switch (change.type) {
      case 'reset':
        if (new Set(change.entries.map(({ instance }) => instanceId(instance))).size < change.entries.length)
          return 'a reset holds an instance twice'
        if (!change.holders.every(covers)) return 'it shows a claim of another service'
        return change.entries.map((entry) => entryFault(entry, at)).find((problem) => problem !== undefined)
      case 'put': {
        const former = entries.get(instanceId(change.entry.instance))
        if (former !== undefined && former.modifiedRevision > change.entry.modifiedRevision)
          return 'an entry went back to an older revision'
        return entryFault(change.entry, at)
      }
      case 'delete':
        return covers(change.key) ? undefined : 'it shows another service'
      case 'claim':
        return covers(change.holder) ? undefined : 'it shows a claim of another service'
      case 'release':
        return covers(change.claim) ? undefined : 'it shows a claim of another service'
    }
  }

  function entryFault(entry: Entry, at: Revision): string | undefined {
    const { instance, health, createdRevision, modifiedRevision } = entry
    if (!covers(instance)) return 'it shows another service'
    if (!(createdRevision <= modifiedRevision && modifiedRevision <= at))
      return `an entry's revisions (${createdRevision}, ${modifiedRevision}) do not fit the batch's (${at})`
    const frozen = [entry, instance, instance.tags, instance.metadata, instance.checks, health, health.checks]
    return frozen.every(Object.isFrozen) ? undefined : 'an entry is not frozen'
  }

  function apply(change: Change): void {
    switch (change.type) {
      case 'reset':
        entries.clear()
        holders.clear()
        for (const entry of change.entries) entries.set(instanceId(entry.instance), entry)
        for (const holder of change.holders) holders.set(instanceId({ ...holder, id: holder.name }), holder)
        break
      case 'put':
        entries.set(instanceId(change.entry.instance), change.entry)
        break
      case 'delete':
        entries.delete(instanceId(change.key))
        break
      case 'claim':
        holders.set(instanceId({ ...change.holder, id: change.holder.name }), change.holder)
        break
      case 'release':
        holders.delete(instanceId({ ...change.claim, id: change.claim.name }))
        break
    }
  }

  function seen(): string {
    return `Seen: ${entries.size} instances and ${holders.size} claims at revision ${revision}, in ${batches.length} batches.`
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

  const self: Follower = {
    entries,
    holders,
    batches,
    get revision() {
      return revision
    },
    ended,
    entry: (key) => entries.get(instanceId(key)),
    holder: (claim) => holders.get(instanceId({ ...claim, id: claim.name })),
    until(what, holds) {
      if (failure !== undefined) return Promise.reject(failure)
      if (batches.length > 0 && holds(self)) return Promise.resolve()
      if (over) return Promise.reject(new Error(`The watch ended before: ${what}. ${seen()}`))
      return new Promise((resolve, reject) => {
        const timeout = setTimeout(() => {
          one.reject(new Error(`Waited ${patience} ms in vain for: ${what}. ${seen()}`))
        }, patience)
        const one: Waiting = {
          holds: () => holds(self),
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
    },
    reached: (wanted) => self.until(`revision ${wanted}`, () => revision >= wanted),
    async [Symbol.asyncDispose]() {
      controller.abort()
      await ended
    },
  }
  return self
}

function show(batch: Batch): string {
  const text = JSON.stringify(batch)
  return text.length > 2_000 ? `${text.slice(0, 2_000)}…` : text
}
