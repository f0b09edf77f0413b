import { isDeepStrictEqual } from 'node:util'
import {
  type Catalog,
  type CheckReport,
  displayName,
  type Entry,
  type Health,
  type Instance,
  type InstanceKey,
  instanceId,
  isSeamarkError,
  type Notify,
  type Registry,
  reported,
  type ScheduledCheck,
} from '@seamark/core'
import { CheckTask, type CheckTaskSetting } from './check-task.ts'
import type { Outbox } from './outbox.ts'

export interface InstanceChecksSetting extends CheckTaskSetting {
  readonly engine: Pick<Registry, 'report' | 'deregister'>
  readonly catalog: Catalog
  readonly outbox: Outbox
  readonly notify: Notify
  /** Takes note of a task that was started. */
  readonly started: (task: CheckTask) => void
}

/** Milliseconds in which an output that changes without the status is written at most once; Consul's `check_update_interval`. */
const outputInterval = 300_000

/** The checks of one instance, and what has to be written of them. */
export class InstanceChecks {
  readonly #key: InstanceKey
  readonly #name: string
  readonly #setting: InstanceChecksSetting
  readonly #tasks = new Map<string, CheckTask>()
  /** Those whose verdict is not written yet. */
  readonly #unwritten = new Set<CheckTask>()
  readonly #writtenAt = new WeakMap<CheckTask, number>()
  #entry: Entry

  constructor(entry: Entry, setting: InstanceChecksSetting) {
    const { namespace, service, id } = entry.instance
    this.#key = { namespace, service, id }
    this.#name = instanceId(this.#key)
    this.#setting = setting
    this.#entry = entry
    this.update(entry)
  }

  /**
   * Takes the instance as it is now. A check stays as it is, with its schedule and what it counted, as long as its
   * definition and what it looks at are the same; else it begins anew, from the health in the entry.
   */
  update(entry: Entry): void {
    const { instance } = entry
    const same = isSamePlace(entry, this.#entry)
    this.#entry = entry
    for (const [id, task] of this.#tasks) {
      const check = scheduled(instance).find((check) => check.id === id)
      if (same && isDeepStrictEqual(check, task.check)) task.instance = instance
      else this.#stop(task)
    }
    for (const check of scheduled(instance)) {
      if (this.#tasks.has(check.id)) continue
      const task = new CheckTask(entry, check, this.#setting, (task) => this.#observed(task))
      this.#tasks.set(check.id, task)
      this.#setting.started(task)
    }
  }

  cancel(): void {
    for (const task of this.#tasks.values()) this.#stop(task)
    this.#setting.outbox.drop(this.#name)
  }

  #stop(task: CheckTask): void {
    task.cancel()
    this.#tasks.delete(task.check.id)
    this.#unwritten.delete(task)
  }

  #observed(task: CheckTask): void {
    const { catalog, clock, outbox } = this.#setting
    const shown = catalog.entry(this.#key)?.health
    if (shown === undefined) return
    // Who takes an instance out on purpose expects its checks to fail.
    if (shown.status === 'maintenance') task.forgive()
    if (this.#isNews(task, shown)) {
      this.#unwritten.add(task)
      this.#writtenAt.set(task, clock.now())
    }
    if (task.hopeless || this.#unwritten.size > 0) outbox.put(this.#name, () => this.#write())
  }

  /** Compares with the catalog, not with what was last written: whoever else wrote, the truth comes back. */
  #isNews(task: CheckTask, shown: Health): boolean {
    const result = shown.checks.find(({ id }) => id === task.check.id)
    if (result?.status !== task.verdict.status) return true
    if (reported(shown, [report(task)]) === shown) return false
    const writtenAt = this.#writtenAt.get(task)
    return writtenAt === undefined || this.#setting.clock.now() - writtenAt >= outputInterval
  }

  async #write(): Promise<void> {
    for (const task of this.#tasks.values()) if (task.hopeless) return this.#deregister(task)
    const tasks = [...this.#unwritten]
    if (tasks.length === 0) return
    this.#unwritten.clear()
    try {
      await this.#setting.engine.report(this.#key, tasks.map(report))
    } catch (error) {
      if (isSeamarkError(error, 'instance_not_found')) return
      for (const task of tasks) if (this.#tasks.get(task.check.id) === task) this.#unwritten.add(task)
      throw error
    }
  }

  async #deregister(task: CheckTask): Promise<void> {
    const revision = await this.#setting.engine.deregister(this.#key)
    // Whoever registers in its place, before the catalog shows that this one is gone, gets all of its time.
    task.forgive()
    const { check, verdict } = task
    if (revision === undefined) return
    this.#setting.notify({
      level: 'warn',
      event: 'instance_deregistered',
      message: `${displayName(this.#key)} was deregistered: its check "${check.id}" was critical for ${check.deregisterAfter} ms.`,
      details: { ...this.#key, check: check.id, output: verdict.output },
    })
  }
}

function report({ check, verdict }: CheckTask): CheckReport {
  return { id: check.id, status: verdict.status, output: verdict.output }
}

/** Those that a server runs. */
export function scheduled({ checks }: Instance): readonly ScheduledCheck[] {
  return checks.filter((check) => check.type !== 'reported')
}

/** Whether what was observed of one holds for the other: a registration that never went away, at the same address. */
function isSamePlace(one: Entry, other: Entry): boolean {
  return (
    one.createdRevision === other.createdRevision &&
    isDeepStrictEqual(place(one.instance), place(other.instance))
  )
}

function place({ scheme, address, port }: Instance): unknown {
  return [scheme, address, port]
}
