import { isIPv6 } from 'node:net'
import type { Entry, HealthStatus, Instance } from '@seamark/core'

/** An instance as one who calls it wants it. Frozen; the same object while nothing about the instance changes. */
export interface Endpoint extends Instance {
  /** Its service. */
  readonly name: string
  /** `http://10.0.0.7:8080`: its scheme, address and port as the beginning of a URL. */
  readonly origin: string
  readonly health: HealthStatus
}

const endpoints = new WeakMap<Entry, Endpoint>()

export function endpoint(entry: Entry): Endpoint {
  let found = endpoints.get(entry)
  if (found === undefined) {
    const { instance, health } = entry
    found = Object.freeze({
      ...instance,
      name: instance.service,
      origin: origin(instance),
      health: health.status,
    })
    endpoints.set(entry, found)
  }
  return found
}

function origin({ scheme, address, port }: Instance): string {
  const host = isIPv6(address) ? `[${address}]` : address
  return port === 0 ? `${scheme}://${host}` : `${scheme}://${host}:${port}`
}
