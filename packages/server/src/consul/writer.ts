import { isDeepStrictEqual } from 'node:util'
import {
  type CheckInput,
  type CheckReport,
  type CheckResult,
  checkWrite,
  type InstanceInput,
  type InstanceKey,
  instance,
  instanceId,
  isSeamarkError,
  maintenanceCheck,
  type Revision,
  type WriteOperation,
} from '@seamark/core'
import { refuseChecks } from '../checks/target-policy.ts'
import { shownOutput } from './check.ts'
import type { ConsulContext } from './context.ts'
import type { ConsulNode } from './node.ts'
import { type CheckRecord, type ConsulRecord, encoded, nodeKey, recordKey, renewalKey } from './record.ts'
import { Turns } from './turns.ts'

/** The last report of a TTL check: from when it was seen written, the check has this long. */
export interface Renewal {
  readonly status: 'passing' | 'warning' | 'critical'
  readonly output: string
  /** Milliseconds. */
  readonly ttl: number
}

/**
 * Writes what Consul's clients register. What the instance cannot hold is written first, as its record: whoever sees the
 * instance sees it whole.
 */
export class Writer {
  readonly #context: Pick<ConsulContext, 'server' | 'view' | 'itemsVisible'>
  readonly #turns = new Turns()

  constructor(context: Pick<ConsulContext, 'server' | 'view' | 'itemsVisible'>) {
    this.#context = context
  }

  /** Work that reads what is registered under an id and then writes it. */
  inTurn<T>({ namespace, id }: Pick<InstanceKey, 'namespace' | 'id'>, work: () => Promise<T>): Promise<T> {
    return this.#turns.run(`${namespace}\u0000${id}`, work)
  }

  /**
   * Registers an instance and its record, unless they are there already. TTL checks begin their time anew: all of them, or
   * those named. Resolves once this server shows it. Throws what makes no instance, and what checks may not do.
   */
  async register(input: InstanceInput, record: ConsulRecord, begun?: readonly string[]): Promise<void> {
    const { server, itemsVisible } = this.#context
    const { value, operations, isThere } = this.prepare(input, record, begun)
    if (operations.length > 0) await itemsVisible((await server.engine.write(operations)) ?? 0)
    if (isThere) return
    const { revision } = await server.engine.register(value)
    await server.visible(revision)
  }

  /** What `register` would write. Throws what it would throw, as long as the engine takes it. */
  prepare(input: InstanceInput, record: ConsulRecord, begun?: readonly string[]) {
    const { server, view } = this.#context
    const value = instance(input)
    refuseChecks(value, server.checkPolicy)
    const former = server.catalog.entry(value)
    const before = view.records.get(value)
    const newRecord = JSON.stringify(record) !== JSON.stringify(before)
    const operations: WriteOperation[] = newRecord
      ? [{ type: 'put', key: recordKey(value), value: encoded(record) }]
      : []
    for (const [id, { type, ttl }] of Object.entries(record.checks ?? {})) {
      if (type !== 'ttl' || (begun !== undefined && !begun.includes(id))) continue
      const known = former?.health.checks.find((check) => check.id === id)
      const definition = value.checks.find((check) => check.id === id)
      const renewal = {
        status:
          known?.status === undefined || known.status === 'maintenance'
            ? (definition?.initial ?? 'critical')
            : known.status,
        output: shownOutput(known?.output ?? ''),
        ttl: ttl!,
      }
      operations.push({ type: 'put', key: renewalKey(value, id), value: encoded(renewal) })
    }
    for (const id of Object.keys(before?.checks ?? {}))
      if (record.checks?.[id]?.type !== 'ttl') operations.push({ type: 'delete', key: renewalKey(value, id) })
    checkWrite([{ type: 'delete', key: recordKey(value) }])
    checkWrite(operations)
    const isThere = former !== undefined && before !== undefined && isDeepStrictEqual(former.instance, value)
    return { value, operations, isThere }
  }

  /** Removes an instance; its record goes with it. Resolves once this server shows no more of it. */
  async deregister(key: InstanceKey): Promise<void> {
    const revision = await this.#context.server.engine.deregister(key)
    if (revision !== undefined) await this.#context.server.visible(revision)
  }

  /** Reports what was observed; of an instance that is gone, nothing. */
  async report(key: InstanceKey, reports: readonly CheckReport[]): Promise<void> {
    try {
      await this.#context.server.visible(await this.#context.server.engine.report(key, reports))
    } catch (error) {
      if (!isSeamarkError(error, 'instance_not_found')) throw error
    }
  }

  /** Reports a TTL check, which then has its time again. */
  async renew(key: InstanceKey, check: string, renewal: Renewal): Promise<void> {
    const { server, itemsVisible } = this.#context
    const revision: Revision | undefined = await server.engine.write([
      { type: 'put', key: renewalKey(key, check), value: encoded(renewal) },
    ])
    await itemsVisible(revision ?? 0)
    const { status, output } = renewal
    const known = server.catalog.entry(key)?.health.checks.find(({ id }) => id === check)
    if (known?.status !== status || known.output !== output)
      await this.report(key, [{ id: check, status, output }])
  }

  /** What a node's own checks are kept in, as it is now: an instance that may not be there yet. */
  nodeInput({ name, address }: Pick<ConsulNode, 'name' | 'address'>): {
    input: InstanceInput
    record: ConsulRecord
  } {
    const key = nodeKey(name)
    const entry = this.#context.server.catalog.entry(key)
    return {
      input: entry?.instance ?? { ...key, address, port: 0 },
      record: this.#context.view.records.get(key) ?? { node: name },
    }
  }

  /** Adds a check to an instance, or replaces it. */
  async putCheck(
    input: InstanceInput,
    record: ConsulRecord,
    check: CheckInput & { readonly id: string },
    told: CheckRecord,
  ): Promise<void> {
    const others = (input.checks ?? []).filter(({ id }) => id !== check.id)
    const checks = { ...record.checks, [check.id]: told }
    await this.register({ ...input, checks: [...others, check] }, { ...record, checks }, [check.id])
  }

  /** Takes a check from an instance. A server's node that has none left needs no instance. */
  async removeCheck(key: InstanceKey, check: string): Promise<void> {
    const { server, view } = this.#context
    const entry = server.catalog.entry(key)
    if (entry === undefined) return
    const checks = entry.instance.checks.filter(({ id }) => id !== check)
    const record = view.records.get(key) ?? { node: view.of(entry).node.name }
    const { [check]: _removed, ...told } = record.checks ?? {}
    await this.register({ ...entry.instance, checks }, { ...record, checks: told }, [])
    await this.tidyNode(key)
  }

  /**
   * A check's id is taken once on a node, and the servers are one agent: whoever had checks of these ids before another
   * there was registered with them has them no more. Not to be called in a turn.
   */
  async displace(namespace: string, checks: Iterable<string>): Promise<void> {
    const { view } = this.#context
    for (const check of checks) {
      const newest = new Map<string, { readonly key: InstanceKey; readonly revision: Revision }>()
      for (const key of view.records.withCheck(check)) {
        const { node = '' } = view.records.get(key) ?? {}
        if (key.namespace !== namespace && instanceId(key) !== instanceId(nodeKey(node))) continue
        const isServer = view.nodes.get(node)?.server !== undefined
        const place = isServer ? '' : node
        const found = { key, revision: view.records.item(key)!.modifiedRevision }
        const other = newest.get(place)
        const older = other !== undefined && other.revision > found.revision ? found : other
        if (older !== found) newest.set(place, found)
        if (older === undefined) continue
        const turn = isServer ? older.key : nodeKey(node)
        const status = await this.inTurn(turn, () => this.#takenFrom(older.key, check))
        // An agent keeps what it knows of a check; the catalog is told.
        if (isServer && status !== undefined) await this.#moved(newest.get(place)!.key, check, status)
      }
    }
  }

  /** Removes a check; what was known of it. */
  async #takenFrom(key: InstanceKey, check: string): Promise<CheckResult | undefined> {
    const known = this.#context.server.catalog.entry(key)?.health.checks.find(({ id }) => id === check)
    await this.removeCheck(key, check)
    return known
  }

  async #moved(key: InstanceKey, check: string, { status, output: text }: CheckResult): Promise<void> {
    const ttl = this.#context.view.records.get(key)?.checks?.[check]?.ttl
    const output = shownOutput(text)
    if (status === 'maintenance') return
    if (ttl === undefined) await this.report(key, [{ id: check, status, output }])
    else await this.renew(key, check, { status, output, ttl })
  }

  /** Removes the instance of a server's node once it holds nothing. */
  async tidyNode(key: InstanceKey): Promise<void> {
    const { server, view } = this.#context
    const entry = server.catalog.entry(key)
    if (instanceId(key) !== instanceId(nodeKey(key.id)) || entry === undefined) return
    if (entry.instance.checks.length > 0 || entry.health.checks.some(({ id }) => id === maintenanceCheck))
      return
    if (view.nodes.get(key.id)?.server !== undefined) await this.deregister(key)
  }
}
