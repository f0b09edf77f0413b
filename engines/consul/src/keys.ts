import type { ClaimKey, InstanceKey, ServiceKey } from '@seamark/core'

/** Where things are in Consul's KV store. */
export interface Keys {
  /** Everything under this that begins with a service's own: its instances and claims. */
  readonly services: string
  /** Changes with each write of ours, so that also a deletion has an index to answer. */
  readonly revision: string
  namespace(namespace: string): string
  service(key: ServiceKey): string
  claims(key: ServiceKey): string
  instance(key: InstanceKey): string
  claim(key: ClaimKey): string
  lease(hash: string): string
  /** Also of the beginning of an item's key: what an item's key begins with, its entry's begins with. */
  item(key: string): string
  /** The item's key; `undefined` when the entry is of none. */
  itemKey(entry: string): string | undefined
}

export function keys(prefix: string): Keys {
  const services = `${prefix}/services/`
  const items = `${prefix}/items/`
  const namespace = (name: string) => `${services}${segment(name)}/`
  const service = (key: ServiceKey) => `${namespace(key.namespace)}${segment(key.service)}/`
  return {
    services,
    revision: `${prefix}/revision`,
    namespace,
    service,
    claims: (key) => `${service(key)}claims/`,
    instance: (key) => `${service(key)}instances/${segment(key.id)}`,
    claim: (key) => `${service(key)}claims/${segment(key.name)}`,
    lease: (hash) => `${prefix}/leases/${hash}`,
    item: (key) => items + escapedPath(key),
    itemKey: (entry) => {
      try {
        const key = decodeURIComponent(entry.slice(items.length))
        return items + escapedPath(key) === entry ? key : undefined
      } catch {
        return undefined
      }
    },
  }
}

/**
 * A name as one segment of a key: as it is, but for what would end the segment, be taken for an escape or for a
 * directory of a URL's path, and what Consul's HTTP API refuses: characters that its Unicode tables do not know.
 */
export function segment(name: string): string {
  return name.replace(/[%/]|^\.|[^\x20-\x7e]+/g, (text) => escapes[text] ?? encodeURIComponent(text))
}

/** As `segment`, of many: slashes stay, but for what would make a segment of no characters, which a URL's path loses. */
function escapedPath(path: string): string {
  return path.replace(/%|(?<![^/])[./]|[^\x20-\x7e]+/g, (text) => escapes[text] ?? encodeURIComponent(text))
}

const escapes: Readonly<Record<string, string>> = { '.': '%2E' }

/** A key in the path of a URL. */
export function keyPath(key: string): string {
  return key.split('/').map(encodeURIComponent).join('/')
}
