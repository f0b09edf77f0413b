import {
  type CheckDefinition,
  type Entry,
  type InstanceKey,
  maintenanceCheck,
  registeredHealth,
} from '@seamark/core'
import type { CheckRecord, ConsulRecord } from './record.ts'

/** A check as Consul's API shows it. */
export interface ConsulCheck {
  readonly node: string
  readonly id: string
  readonly name: string
  readonly status: string
  readonly notes: string
  readonly output: string
  /** Empty for a check of the node. */
  readonly serviceId: string
  readonly serviceName: string
  readonly serviceTags: readonly string[]
  readonly type: string
  readonly definition: Readonly<Record<string, unknown>>
  readonly createIndex: number
  readonly modifyIndex: number
  /** What it is a check of, and what it is called there; `undefined`: nobody can report it. */
  readonly source: { readonly key: InstanceKey; readonly check: string } | undefined
  readonly record: CheckRecord | undefined
}

/** The result that tells native readers of the node's health: shown by the node's own checks already. */
export const nodeHealthCheck = 'consul-node'

/** Ids that a check may not be registered under. */
export const reservedChecks: ReadonlySet<string> = new Set([maintenanceCheck, nodeHealthCheck])

/** What core says of a check that nobody has looked at; Consul says nothing. */
const [unchecked] = registeredHealth([{ id: 'unchecked' }], undefined).checks

export function shownOutput(output: string): string {
  return output === unchecked!.output ? '' : output
}

/** Whose check it is, in Consul's words. */
export interface CheckOwner {
  readonly node: string
  readonly serviceId: string
  readonly serviceName: string
  readonly serviceTags: readonly string[]
}

/** Nothing is older than this: what was always there has the index 2, so that 1 never waits for it. */
export function indexOf(revision: number): number {
  return Math.max(2, revision)
}

/** The checks of an instance, in the order of their ids. */
export function checksOf(entry: Entry, record: ConsulRecord | undefined, owner: CheckOwner): ConsulCheck[] {
  const { instance, health } = entry
  const index = {
    createIndex: indexOf(entry.createdRevision),
    modifyIndex: indexOf(entry.modifiedRevision),
  }
  const { namespace, service, id: instanceId } = instance
  const key = { namespace, service, id: instanceId }
  const checks = health.checks.flatMap(({ id, status, output: text }): ConsulCheck[] => {
    const output = shownOutput(text)
    if (id === nodeHealthCheck) return []
    if (id === maintenanceCheck) return [{ ...maintenance(owner, output), ...owner, ...index }]
    const known = record?.checks?.[id]
    const source = { key, check: id }
    if (known === undefined) {
      const type = typeName(instance.checks.find((check) => check.id === id))
      const shown = owner.serviceId === '' ? id : `service:${owner.serviceId}:${id}`
      return [
        {
          ...owner,
          ...index,
          id: shown,
          name: id,
          status,
          notes: '',
          output,
          type,
          definition: {},
          source,
          record: known,
        },
      ]
    }
    return [
      {
        ...owner,
        ...index,
        id,
        name: known.name,
        status: known.status ?? status,
        notes: known.notes ?? '',
        output,
        type: known.type,
        definition: known.definition ?? {},
        source,
        record: known,
      },
    ]
  })
  return checks.sort(byId)
}

export function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

type Told = Omit<ConsulCheck, keyof CheckOwner | 'createIndex' | 'modifyIndex'>

function maintenance({ serviceId }: CheckOwner, reason: string): Told {
  const what = serviceId === '' ? 'node' : 'service'
  return {
    id: serviceId === '' ? '_node_maintenance' : `_service_maintenance:${serviceId}`,
    name: serviceId === '' ? 'Node Maintenance Mode' : 'Service Maintenance Mode',
    status: 'critical',
    notes: reason === '' ? noReason(what) : reason,
    output: '',
    type: 'maintenance',
    definition: {},
    source: undefined,
    record: undefined,
  }
}

function noReason(what: string): string {
  return `Maintenance mode is enabled for this ${what}, but no reason was provided. This is a default message.`
}

/** What Consul calls the types of checks that were registered in our own way. */
function typeName(check: CheckDefinition | undefined): string {
  if (check === undefined) return ''
  if (check.type === 'reported') return 'ttl'
  return check.type === 'command' ? 'script' : check.type
}
