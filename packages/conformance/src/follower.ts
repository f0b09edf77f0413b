import {
  type Batch,
  type Change,
  type ClaimKey,
  type Directory,
  type Entry,
  type Holder,
  type InstanceKey,
  instanceId,
  type Revision,
  type ServiceKey,
  type Source,
  serviceId,
} from '@seamark/core'
import { type FollowerOptions, type Following, following } from './following.ts'

/** The state that a watch tells, folded from its batches as they arrive. It holds the watch to its contract, too. */
export interface Follower extends Omit<Following<Batch>, 'until'> {
  /** By `instanceId`. */
  readonly entries: ReadonlyMap<string, Entry>
  /** By `instanceId`, with the claim's name as the id. */
  readonly holders: ReadonlyMap<string, Holder>
  entry(key: InstanceKey): Entry | undefined
  holder(claim: ClaimKey): Holder | undefined
  /** As `Following.until`, with the follower. */
  until(what: string, holds: (follower: Follower) => boolean): Promise<void>
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

function follow(
  watch: (signal: AbortSignal) => AsyncIterable<Batch>,
  covers: (key: ServiceKey) => boolean,
  options?: FollowerOptions,
): Follower {
  const entries = new Map<string, Entry>()
  const holders = new Map<string, Holder>()

  function fault({ revision, changes }: Batch): string | undefined {
    return changes.map((change) => changeFault(change, revision)).find((problem) => problem !== undefined)
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

  const followed = following(
    {
      watch,
      fault,
      apply: ({ changes }) => changes.forEach(apply),
      seen: () => `${entries.size} instances and ${holders.size} claims`,
    },
    options,
  )
  const { until } = followed
  // Not spread: `revision` is read anew each time.
  const self: Follower = Object.assign(followed, {
    entries,
    holders,
    entry: (key: InstanceKey) => entries.get(instanceId(key)),
    holder: (claim: ClaimKey) => holders.get(instanceId({ ...claim, id: claim.name })),
    until: (what: string, holds: (follower: Follower) => boolean) => until(what, () => holds(self)),
  })
  return self
}
