import {
  type Catalog,
  type Clock,
  type Entry,
  type InstanceKey,
  instanceId,
  type Notify,
  type Registry,
  systemClock,
} from '@seamark/core'
import type { CheckTask } from './check-task.ts'
import { InstanceChecks, type InstanceChecksSetting, scheduled } from './instance-checks.ts'
import { Outbox } from './outbox.ts'
import { Slots } from './slots.ts'
import type { CheckPolicy } from './target-policy.ts'

export interface CheckerOptions extends Partial<CheckPolicy> {
  /** Where results are written. */
  readonly engine: Pick<Registry, 'report' | 'deregister'>
  /** What is to be checked; the checker does not own it. */
  readonly catalog: Catalog
  /** Default the system's. */
  readonly clock?: Clock
  /** Default: nobody is told. */
  readonly notify?: Notify
  /** Checks that run at once, at most. Default 256. */
  readonly concurrency?: number
  /** Default: everything is checked here. */
  readonly share?: Share | undefined
  /** A source of numbers in [0, 1), for retries. Default `Math.random`. */
  readonly random?: () => number
}

/** Which instances' checks are run here, where several checkers share one registry. */
export interface Share {
  owns(key: InstanceKey): boolean
  /** Calls back when it owns others than before. */
  subscribe(listener: () => void): Disposable
}

/** Disposing of it ends every check that runs, and resolves once nothing of it is left. */
export type Checker = AsyncDisposable

/**
 * Runs the checks of every instance in the catalog, and writes what changes of their health. Checks that the policy
 * does not allow are not run, but critical, with an output that says why; a server refuses them earlier, at
 * registration, with `refuseChecks(instance, policy)` of `target-policy.ts`.
 */
export function checker({
  engine,
  catalog,
  clock = systemClock,
  notify = () => {},
  concurrency = 256,
  share,
  random = Math.random,
  allowCommandChecks = false,
  allowForeignChecks = false,
}: CheckerOptions): Checker {
  const running = new Set<CheckTask>()
  const outbox = new Outbox({ clock, notify, random })
  const setting: InstanceChecksSetting = {
    engine,
    catalog,
    clock,
    notify,
    outbox,
    slots: new Slots(concurrency),
    policy: { allowCommandChecks, allowForeignChecks },
    started(task) {
      running.add(task)
      task.ended
        .catch((error: unknown) =>
          notify({
            level: 'error',
            event: 'check_stopped',
            message: `The check "${task.check.id}" stopped because of a bug in Seamark.`,
            details: { error },
          }),
        )
        .finally(() => running.delete(task))
    },
  }
  const instances = new Map<string, InstanceChecks>()

  function put(entry: Entry): void {
    const name = instanceId(entry.instance)
    const known = instances.get(name)
    if (scheduled(entry.instance).length === 0 || share?.owns(entry.instance) === false)
      remove(entry.instance)
    else if (known === undefined) instances.set(name, new InstanceChecks(entry, setting))
    else known.update(entry)
  }

  function remove(key: InstanceKey): void {
    const name = instanceId(key)
    instances.get(name)?.cancel()
    instances.delete(name)
  }

  const subscription = catalog.subscribe(({ changes }) => {
    for (const change of changes) {
      if (change.type === 'put') put(change.entry)
      else if (change.type === 'delete') remove(change.key)
    }
  })
  function putAll(): void {
    for (const service of catalog.services())
      for (const entry of catalog.snapshot(service).entries) put(entry)
  }

  const handover = share?.subscribe(putAll)
  putAll()

  return {
    async [Symbol.asyncDispose]() {
      subscription[Symbol.dispose]()
      handover?.[Symbol.dispose]()
      for (const checks of instances.values()) checks.cancel()
      instances.clear()
      await Promise.all([...Array.from(running, ({ ended }) => ended.catch(() => {})), outbox.close()])
    },
  }
}
