import {
  type CheckDefinition,
  type Entry,
  type Health,
  type Holder,
  type Instance,
  type InstanceKey,
  passing,
  type Revision,
  type Route,
} from '@seamark/core'

/** An entry as the API writes it: the instance's fields, its health and its revisions side by side. */
export interface EntryJson extends Instance {
  readonly health: Health
  readonly createdRevision: Revision
  readonly modifiedRevision: Revision
}

const none: readonly never[] = Object.freeze([])
const noMetadata: Readonly<Record<string, string>> = Object.freeze({})

/**
 * Takes over what a server said, frozen. Only known fields are kept, and what they hold is not judged again: a newer
 * server may know more kinds of checks than this client, and its instances must not vanish for that.
 */
export function decodeEntry(json: EntryJson): Entry {
  const { namespace, service, id, address, port, scheme, version, zone, weight, tags, metadata } = json
  const instance: Instance = Object.freeze({
    namespace,
    service,
    id,
    address,
    port,
    scheme,
    ...(typeof version === 'string' && { version }),
    ...(typeof zone === 'string' && { zone }),
    weight,
    tags: tags.length === 0 ? none : Object.freeze(tags),
    metadata: isEmpty(metadata) ? noMetadata : Object.freeze(metadata),
    checks: json.checks.length === 0 ? none : Object.freeze(json.checks.map(frozenCheck)),
    ...(typeof json.route === 'object' && { route: frozenRoute(json.route) }),
  })
  const { health, createdRevision, modifiedRevision } = json
  return Object.freeze({ instance, health: frozenHealth(health), createdRevision, modifiedRevision })
}

export function encodeEntry({ instance, ...rest }: Entry): EntryJson {
  return { ...instance, ...rest }
}

export function decodeHolder({ namespace, service, id, name, fence }: Holder): Holder {
  return Object.freeze({ namespace, service, id, name, fence })
}

export function decodeKey({ namespace, service, id }: InstanceKey): InstanceKey {
  return Object.freeze({ namespace, service, id })
}

/** A path segment. Dots alone are escaped too: what stands between may take them for a way up. */
export function segment(name: string): string {
  return /^\.+$/.test(name) ? name.replaceAll('.', '%2E') : encodeURIComponent(name)
}

function frozenCheck(check: CheckDefinition): CheckDefinition {
  for (const value of Object.values(check)) Object.freeze(value)
  return Object.freeze(check)
}

function frozenRoute(route: Route): Route {
  for (const value of Object.values(route)) Object.freeze(value)
  return Object.freeze(route)
}

function frozenHealth({ status, checks }: Health): Health {
  if (checks.length === 0 && status === 'passing') return passing
  for (const check of checks) Object.freeze(check)
  return Object.freeze({ status, checks: Object.freeze(checks) })
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false
  return true
}
