import {
  type CheckReport,
  displayName,
  type Entry,
  type InstanceKey,
  type Item,
  instanceId,
  isSeamarkError,
  type Notify,
  reported,
  serviceId,
} from '@seamark/core'
import type { Share } from '../checks/checker.ts'
import { Outbox } from '../checks/outbox.ts'
import { aliasResult } from './alias.ts'
import { nodeHealthCheck } from './check.ts'
import type { ConsulContext } from './context.ts'
import { Deadlines } from './deadlines.ts'
import type { ConsulNode } from './node.ts'
import {
  type ConsulRecord,
  decodedItem,
  encoded,
  keyOf,
  nodesServiceId,
  recordKey,
  renewalKey,
  renewalPrefix,
} from './record.ts'
import type { Renewal } from './writer.ts'

/** Milliseconds after which what was reported and what is shown should be the same. */
const settleTime = 5_000

/** Milliseconds that a record may be there before its instance: whoever wrote it is long done, or gone. */
const orphanTime = 60_000

interface Alias {
  readonly key: InstanceKey
  readonly check: string
}

/**
 * Does what time and change ask for on Consul's side of the registry: TTL checks that nobody reported turn critical,
 * critical services go, alias checks follow, what is on an ailing node ails, and records go with their instances. Every
 * server has one. Clocks are never compared: each counts from when it saw a report written, and whoever is first writes
 * only if there was no later one.
 */
export class Keeper {
  readonly #context: ConsulContext
  readonly #share: Share | undefined
  readonly #notify: Notify
  readonly #outbox: Outbox
  readonly #deadlines: Deadlines
  readonly #subscriptions: readonly (Disposable | undefined)[]
  /** By the id of the service that is followed; those that follow a node are under its name. */
  readonly #aliases = new Map<string, Map<string, Alias>>()
  /** What the alias checks of an instance follow. */
  readonly #followed = new Map<string, Set<string>>()
  /** The nodes as they were when last looked at. */
  #nodes = new Map<string, ConsulNode>()
  #looking = false
  #closed = false

  constructor(context: ConsulContext, share: Share | undefined, notify: Notify) {
    const { server, items, view } = context
    this.#context = context
    this.#share = share
    this.#notify = notify
    this.#outbox = new Outbox({ clock: server.clock, notify, random: Math.random })
    this.#deadlines = new Deadlines(server.clock, notify)
    this.#subscriptions = [
      items.subscribe(({ changes }) => {
        for (const change of changes) {
          const key = change.type === 'put' ? change.item.key : change.key
          if (!key.startsWith(renewalPrefix)) continue
          if (change.type === 'put') this.#renewed(change.item)
          else this.#forget(key)
        }
      }),
      view.records.subscribe((changes) => {
        for (const { key, record } of changes) this.#recorded(key, record)
      }),
      server.catalog.subscribe(({ changes, revision }) => {
        for (const change of changes) {
          if (change.type === 'put') this.#changed(change.entry)
          else if (change.type === 'delete') this.#gone(change.key, revision)
        }
      }),
      view.nodes.subscribe(() => this.#nodesSoon()),
      share?.subscribe(() => this.#begin()),
    ]
    for (const item of items.list(renewalPrefix)) this.#renewed(item)
    for (const service of server.catalog.services())
      for (const entry of server.catalog.snapshot(service).entries) this.#changed(entry)
    this.#begin()
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const subscription of this.#subscriptions) subscription?.[Symbol.dispose]()
    this.#deadlines.close()
    await this.#outbox.close()
  }

  /** Looks at everything: at the start, and when this server owns other instances than before. */
  #begin(): void {
    const { view, server } = this.#context
    for (const { key, record } of view.records.all()) {
      this.#recorded(key, record)
      const item = view.records.item(key)
      const isNode = serviceId(key) === nodesServiceId
      if (item !== undefined && !isNode && server.catalog.entry(key) === undefined)
        this.#deadlines.set(`orphan ${item.key}`, item.key, orphanTime, () => this.#removeRecord(key, item))
    }
    this.#nodes = new Map()
    this.#nodesChanged()
  }

  #owns(key: InstanceKey): boolean {
    return this.#share?.owns(key) ?? true
  }

  /** A TTL check was reported somewhere. */
  #renewed(item: Item): void {
    const renewal = decodedItem<Renewal & { expired?: true }>(item)!
    this.#deadlines.set(`settle ${item.key}`, item.key, settleTime, () => this.#settle(item))
    if (renewal.expired) this.#deadlines.drop(`ttl ${item.key}`)
    else this.#deadlines.set(`ttl ${item.key}`, item.key, renewal.ttl, () => this.#expire(item))
  }

  #forget(key: string): void {
    this.#deadlines.drop(`ttl ${key}`)
    this.#deadlines.drop(`settle ${key}`)
  }

  /** Nobody reported the check in time: that is written in place of the last report, if it still is the last. */
  #expire(item: Item): void {
    const { server } = this.#context
    this.#outbox.put(`ttl ${item.key}`, async () => {
      const found = keyOf(item.key)
      if (found === undefined || !this.#isLast(item)) return
      const { output, ttl } = decodedItem<Renewal>(item)!
      const told =
        output === '' ? 'TTL expired' : `TTL expired (last output before timeout follows): ${output}`
      const renewal = { status: 'critical', output: told, ttl, expired: true }
      const put = { type: 'put', key: item.key, value: encoded(renewal), at: item.modifiedRevision } as const
      if ((await server.engine.write([put])) === undefined) return
      await this.#report(found.instance, [{ id: found.check, status: 'critical', output: told }])
    })
  }

  /** A check that was registered in our own way, and that nobody reported yet. */
  #expectReport({ namespace, service, id }: InstanceKey, check: string, ttl: number): void {
    const key = { namespace, service, id }
    const name = renewalKey(key, check)
    const { items, server } = this.#context
    if (items.get(name) !== undefined || this.#deadlines.has(`ttl ${name}`)) return
    this.#deadlines.set(`ttl ${name}`, instanceId(key), ttl, () => {
      if (!this.#owns(key)) return
      this.#outbox.put(`ttl ${name}`, async () => {
        const entry = server.catalog.entry(key)
        const isExpected = entry?.instance.checks.some(
          (other) => other.id === check && other.type === 'reported',
        )
        if (!isExpected || items.get(name) !== undefined) return
        await this.#report(key, [{ id: check, status: 'critical', output: 'TTL expired' }], entry)
      })
    })
  }

  /** Whoever writes a report and then the health may fall in between, or be overtaken: the last report is what counts. */
  #settle(item: Item): void {
    const found = keyOf(item.key)
    if (found === undefined || !this.#isLast(item) || !this.#owns(found.instance)) return
    const { status, output } = decodedItem<Renewal>(item)!
    const entry = this.#context.server.catalog.entry(found.instance)
    if (entry === undefined) {
      this.#outbox.put(`settle ${item.key}`, () => this.#removeItem(item))
      return
    }
    const known = entry.health.checks.find(({ id }) => id === found.check)
    // Nobody looked at it yet: it is as it was registered.
    if (known === undefined || (known.status === status && (known.output === output || output === ''))) return
    this.#outbox.put(`settle ${item.key}`, async () => {
      if (this.#isLast(item)) await this.#report(found.instance, [{ id: found.check, status, output }])
    })
  }

  #isLast(item: Item): boolean {
    return this.#context.items.get(item.key)?.modifiedRevision === item.modifiedRevision
  }

  #recorded(key: InstanceKey, record: ConsulRecord | undefined): void {
    const id = instanceId(key)
    for (const target of this.#followed.get(id) ?? []) {
      const followers = this.#aliases.get(target)!
      for (const [name, alias] of followers) if (instanceId(alias.key) === id) followers.delete(name)
      if (followers.size === 0) this.#aliases.delete(target)
    }
    this.#followed.delete(id)
    for (const [check, { alias }] of Object.entries(record?.checks ?? {})) {
      if (alias === undefined) continue
      const target = alias.service ?? ''
      const followers = this.#aliases.get(target) ?? new Map()
      this.#aliases.set(target, followers)
      followers.set(`${id}\u0000${check}`, { key, check })
      this.#followed.set(id, (this.#followed.get(id) ?? new Set()).add(target))
    }
    const entry = this.#context.server.catalog.entry(key)
    if (entry !== undefined) this.#changed(entry)
  }

  /** An instance is another one, or its health is. */
  #changed(entry: Entry): void {
    const { instance } = entry
    for (const alias of this.#aliases.get(this.#consulId(instance))?.values() ?? []) this.#follow(alias)
    const record = this.#context.view.records.get(instance)
    for (const check of instance.checks) {
      if (check.type !== 'reported' || record?.checks?.[check.id] !== undefined) continue
      if (check.ttl !== undefined) this.#expectReport(instance, check.id, check.ttl)
      if (check.deregisterAfter !== undefined) this.#watchCritical(entry, check.id, check.deregisterAfter)
    }
    if (record === undefined) return
    for (const [check, { alias, deregisterAfter }] of Object.entries(record.checks ?? {})) {
      if (alias !== undefined) this.#follow({ key: instance, check })
      if (deregisterAfter !== undefined) this.#watchCritical(entry, check, deregisterAfter)
    }
    if (serviceId(instance) !== nodesServiceId) this.#project(entry, record)
  }

  #consulId(key: InstanceKey): string {
    return this.#context.view.records.get(key)?.id ?? key.id
  }

  #gone(key: InstanceKey, revision: number): void {
    const { view } = this.#context
    for (const alias of this.#aliases.get(this.#consulId(key))?.values() ?? []) this.#follow(alias)
    this.#deadlines.dropGroup(instanceId(key))
    const item = view.records.item(key)
    // A later record is of a registration that is on its way.
    if (item !== undefined && item.modifiedRevision < revision) this.#removeRecord(key, item)
  }

  #removeRecord(key: InstanceKey, item: Item): void {
    const { server, view } = this.#context
    if (!this.#owns(key)) return
    this.#outbox.put(`record ${item.key}`, async () => {
      if (server.catalog.entry(key) !== undefined) return
      const checks = Object.entries(view.records.get(key)?.checks ?? {}).filter(
        ([, { type }]) => type === 'ttl',
      )
      await server.engine.write([
        { type: 'delete', key: recordKey(key), at: item.modifiedRevision },
        ...checks.map(([check]) => ({ type: 'delete', key: renewalKey(key, check) }) as const),
      ])
    })
  }

  async #removeItem({ key, modifiedRevision: at }: Item): Promise<void> {
    await this.#context.server.engine.write([{ type: 'delete', key, at }])
  }

  /** A service goes once its check was critical for as long as it said. */
  #watchCritical({ instance, health }: Entry, check: string, after: number): void {
    const { namespace, service, id } = instance
    const key = { namespace, service, id }
    const name = `critical ${instanceId(key)}\u0000${check}`
    const isCritical = health.checks.find((result) => result.id === check)?.status === 'critical'
    // Who takes an instance out on purpose expects its checks to fail.
    if (!isCritical || health.status === 'maintenance') {
      this.#deadlines.drop(name)
      return
    }
    if (this.#deadlines.has(name)) return
    this.#deadlines.set(name, instanceId(key), after, () => {
      if (!this.#owns(key)) return
      this.#outbox.put(name, async () => {
        const now = this.#context.server.catalog
          .entry(key)
          ?.health.checks.find((result) => result.id === check)
        if (now?.status !== 'critical') return
        if ((await this.#context.server.engine.deregister(key)) === undefined) return
        this.#notify({
          level: 'warn',
          event: 'instance_deregistered',
          message: `${displayName(key)} was deregistered: its check "${check}" was critical for ${after} ms.`,
          details: { ...key, check, output: now.output },
        })
      })
    })
  }

  #follow({ key, check }: Alias): void {
    const { server, view } = this.#context
    if (!this.#owns(key)) return
    const name = `alias ${instanceId(key)}\u0000${check}`
    this.#outbox.put(name, async () => {
      const alias = view.records.get(key)?.checks?.[check]?.alias
      const entry = server.catalog.entry(key)
      if (alias === undefined || entry === undefined) return
      await this.#report(key, [{ id: check, ...aliasResult(view, key.namespace, alias) }], entry)
    })
  }

  /** Of many nodes that are told of at once, each is looked at once. */
  #nodesSoon(): void {
    if (this.#looking) return
    this.#looking = true
    setImmediate(() => {
      this.#looking = false
      if (!this.#closed) this.#nodesChanged()
    })
  }

  #nodesChanged(): void {
    const { view, server } = this.#context
    const before = this.#nodes
    this.#nodes = new Map(view.nodes.list().map((node) => [node.name, node]))
    let changed = false
    for (const [name, node] of this.#nodes) {
      if (before.get(name) === node) continue
      changed = true
      for (const key of view.records.on(name)) {
        const entry = serviceId(key) === nodesServiceId ? undefined : server.catalog.entry(key)
        if (entry !== undefined) this.#project(entry, view.records.get(key)!)
      }
    }
    if (!changed) return
    for (const followers of this.#aliases.values())
      for (const alias of followers.values()) this.#follow(alias)
  }

  /** Native readers know no nodes: what is on a node that is not well says so itself. */
  #project({ instance, health }: Entry, record: ConsulRecord): void {
    if (!this.#owns(instance)) return
    const { namespace, service, id } = instance
    const report = nodeReport(this.#nodes.get(record.node))
    if (reported(health, [report]) === health) return
    this.#outbox.put(`node ${instanceId(instance)}`, async () => {
      const node = this.#context.view.nodes.get(record.node)
      await this.#report({ namespace, service, id }, [nodeReport(node)])
    })
  }

  /** Reports, unless that is known already or the instance is gone. */
  async #report(key: InstanceKey, reports: readonly CheckReport[], entry?: Entry): Promise<void> {
    if (entry !== undefined && reported(entry.health, reports) === entry.health) return
    try {
      await this.#context.server.engine.report(key, reports)
    } catch (error) {
      if (!isSeamarkError(error, 'instance_not_found')) throw error
    }
  }
}

/** The worst of a node's checks, or that there is nothing to tell. */
function nodeReport(node: ConsulNode | undefined): CheckReport {
  const worst =
    node?.checks.find(({ status }) => status === 'critical') ??
    node?.checks.find(({ status }) => status === 'warning')
  if (node === undefined || worst === undefined) return { id: nodeHealthCheck, status: null }
  const status = worst.status as 'critical' | 'warning'
  return { id: nodeHealthCheck, status, output: `Node ${node.name}: ${worst.name} is ${status}` }
}
