import {
  type CheckReport,
  type CheckResult,
  type ClaimKey,
  type Entry,
  type Health,
  type Instance,
  type InstanceKey,
  passing,
  reported,
  storedInstance,
} from '@seamark/core'

/** What the entry of an instance says. */
export interface InstanceRecord {
  readonly instance: Instance
  readonly health: Health
  /** The hash of the token of its lease. */
  readonly lease: string
}

/** What the entry of a lease says. It is there exactly as long as the lease, and its key is the token's hash. */
export interface LeaseRecord extends InstanceKey {
  readonly ttl: number | undefined
}

/** What the entry of a claim says. It is over once the lease is not the instance's any more. */
export interface ClaimRecord extends ClaimKey {
  readonly id: string
  readonly lease: string
}

export function instanceValue({ instance, health, lease }: InstanceRecord): string {
  return value({ instance, checks: health.checks, lease })
}

/** Throws when it is none. Fields that are not known are left out. */
export function instanceRecord(stored: string | null): InstanceRecord {
  const { instance, checks, lease } = parsed(stored)
  return {
    instance: storedInstance(instance),
    health: reported(passing, results(checks)),
    lease: text(lease),
  }
}

export function leaseValue({ namespace, service, id, ttl }: LeaseRecord): string {
  return value({ namespace, service, id, ttl })
}

export function leaseRecord(stored: string | null): LeaseRecord {
  const { namespace, service, id, ttl } = parsed(stored)
  return {
    namespace: text(namespace),
    service: text(service),
    id: text(id),
    ttl: typeof ttl === 'number' ? ttl : undefined,
  }
}

export function claimValue({ namespace, service, name, id, lease }: ClaimRecord): string {
  return value({ namespace, service, name, id, lease })
}

export function claimRecord(stored: string | null): ClaimRecord {
  const { namespace, service, name, id, lease } = parsed(stored)
  return {
    namespace: text(namespace),
    service: text(service),
    name: text(name),
    id: text(id),
    lease: text(lease),
  }
}

export function entry(
  { instance, health }: Pick<InstanceRecord, 'instance' | 'health'>,
  revisions: { readonly CreateIndex: number; readonly ModifyIndex: number },
): Entry {
  return Object.freeze({
    instance,
    health,
    createdRevision: revisions.CreateIndex,
    modifiedRevision: revisions.ModifyIndex,
  })
}

function value(record: unknown): string {
  return Buffer.from(JSON.stringify(record)).toString('base64')
}

function parsed(stored: string | null): Record<string, unknown> {
  return Object(JSON.parse(Buffer.from(stored ?? '', 'base64').toString()))
}

function text(field: unknown): string {
  if (typeof field !== 'string' || field === '') throw new TypeError('a field of the record is missing')
  return field
}

function results(checks: unknown): CheckReport[] {
  if (!Array.isArray(checks)) throw new TypeError('the results of the checks are missing')
  return checks.map((check) => {
    const { id, status, output } = Object(check) as CheckResult
    if (status === null) throw new TypeError('a check has no status')
    return { id, status, output }
  })
}
