import { isIPv6 } from 'node:net'
import { defaultNamespace, type ServiceKey, splitTarget, storedInstance } from '@seamark/core'
import type { Format, Place } from './format.ts'
import { around, keysBelow } from './key-range.ts'
import { nameOf, segment } from './segments.ts'

/** What etcd's `client/v3/naming/endpoints` writes. */
interface Update {
  readonly Op: number
  readonly Addr: string
  readonly Metadata: unknown
}

/**
 * etcd's own naming format for gRPC, as its Go packages `client/v3/naming/endpoints` and `…/resolver` write and read it:
 *
 * - `<prefix>/<service>/<id>` in the namespace `default`, `<prefix>/<namespace>/<service>/<id>` in others:
 *   `{"Op":0,"Addr":"10.0.0.1:8080","Metadata":…}`. A resolver's target is what comes before the id.
 * - `<prefix>/.seamark/health/…`, `…/claims/…`, `…/leases/…`, `…/items/…`: what only Seamark reads.
 *
 * What else an instance has travels in `Metadata`, as the *text* of JSON. Go's resolver hands `Metadata` on to gRPC, which
 * compares it with `==` (`resolver.Address.Equal`): that is fine with a string, and a panic with an object.
 */
export function grpcFormat(prefix: string): Format {
  const root = prefix === '' ? '' : `${prefix}/`
  const ours = `${root}.seamark/`
  const items = `${ours}items/`
  const folder = ({ namespace, service }: ServiceKey) => `${root}${path(namespace)}${segment(service)}/`
  const shelf = (kind: 'health' | 'claims', { namespace, service }: ServiceKey) =>
    `${ours}${kind}/${segment(namespace)}/${segment(service)}/`
  return {
    instance: (key) => Buffer.from(folder(key) + segment(key.id)),
    health: (key) => Buffer.from(shelf('health', key) + segment(key.id)),
    claim: (key) => Buffer.from(shelf('claims', key) + segment(key.name)),
    claims: (key) => keysBelow(shelf('claims', key)),
    items,
    lease: (hash) => Buffer.from(`${ours}leases/${hash}`),
    place(key) {
      const text = key.toString()
      if (text.startsWith(ours)) return besides(text.slice(ours.length))
      return text.startsWith(root) ? endpoint(text) : undefined
    },
    ranges(services) {
      if (services === undefined) return around(keysBelow(root), keysBelow(items))
      return services.flatMap((key) => [
        keysBelow(shelf('claims', key)),
        keysBelow(shelf('health', key)),
        keysBelow(folder(key)),
      ])
    },
    encode({ instance, lease }) {
      const { namespace, service, id, address, port, ...rest } = instance
      const Metadata = JSON.stringify({ seamark: { ...rest, lease } })
      return Buffer.from(JSON.stringify({ Op: 0, Addr: addr(address, port), Metadata } satisfies Update))
    },
    decode(key, value) {
      const { Op, Addr, Metadata } = Object(JSON.parse(value.toString())) as Partial<Update>
      if (Op !== 0 || typeof Addr !== 'string') throw new Error('it is no endpoint of gRPC')
      const { lease, ...rest } = ownFields(Metadata) ?? { scheme: 'grpc', metadata: scalars(Metadata) }
      const { namespace, service, id } = key
      return {
        instance: storedInstance({ ...rest, namespace, service, id, ...location(Addr) }),
        lease: typeof lease === 'string' ? lease : undefined,
      }
    },
  }

  function endpoint(text: string): Place | undefined {
    const names = text.slice(root.length).split('/').map(nameOf)
    if (names.length < 2 || names.includes(undefined)) return undefined
    const [id, service] = [names.pop()!, names.pop()!]
    const namespace = names.length === 0 ? defaultNamespace : names.join('/')
    const key = { namespace, service, id }
    // Of several ways to write a key, one counts: else two keys could be the same instance.
    return folder(key) + segment(id) === text ? { kind: 'instance', key } : undefined
  }
}

function besides(text: string): Place | undefined {
  const [kind, ...parts] = text.split('/')
  const [namespace, service, name] = parts.map(nameOf)
  if (parts.length !== 3 || namespace === undefined || service === undefined || name === undefined)
    return undefined
  if (kind === 'claims') return { kind: 'claim', key: { namespace, service, name } }
  return kind === 'health' ? { kind, key: { namespace, service, id: name } } : undefined
}

/** A target may have many segments: all but the last are the namespace. */
function path(namespace: string): string {
  if (namespace === defaultNamespace) return ''
  const parts = namespace.split('/')
  return parts.includes('') ? `${segment(namespace)}/` : `${parts.map(segment).join('/')}/`
}

function addr(address: string, port: number): string {
  if (port === 0) return address
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}

function location(addr: string): { address: string; port: number } {
  if (isIPv6(addr) || !addr.includes(':')) return { address: addr, port: 0 }
  const { host, port } = splitTarget(addr)
  return { address: host, port }
}

function ownFields(metadata: unknown): Record<string, unknown> | undefined {
  if (typeof metadata !== 'string' || !metadata.startsWith('{"seamark":')) return undefined
  return (JSON.parse(metadata) as { seamark: Record<string, unknown> }).seamark
}

/** What others say of their endpoint, as far as metadata can hold it. */
function scalars(metadata: unknown): Record<string, string> {
  const pairs = typeof metadata === 'object' ? Object.entries(metadata ?? {}) : []
  return Object.fromEntries(
    pairs.flatMap(([key, value]) =>
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
        ? [[key, String(value)]]
        : [],
    ),
  )
}
