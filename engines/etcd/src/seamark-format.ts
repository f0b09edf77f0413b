import { instanceId, type ServiceKey, storedInstance } from '@seamark/core'
import type { Format, Place } from './format.ts'
import { keysBelow } from './key-range.ts'
import { nameOf, segment } from './segments.ts'

/**
 * All that is known of a service lies side by side, so that one watch shows it:
 *
 * - `<prefix>/services/<namespace>/<service>/instances/<id>`: the instance, and `lease`, the hash of its lease's token
 * - `<prefix>/services/<namespace>/<service>/health/<id>`
 * - `<prefix>/services/<namespace>/<service>/claims/<name>`
 * - `<prefix>/leases/<hash>`
 * - `<prefix>/items/<key>`: beside the registry
 */
export function seamarkFormat(prefix: string): Format {
  const services = `${prefix}/services/`
  const folder = ({ namespace, service }: ServiceKey) =>
    `${services}${segment(namespace)}/${segment(service)}/`
  return {
    instance: (key) => Buffer.from(`${folder(key)}instances/${segment(key.id)}`),
    health: (key) => Buffer.from(`${folder(key)}health/${segment(key.id)}`),
    claim: (key) => Buffer.from(`${folder(key)}claims/${segment(key.name)}`),
    claims: (key) => keysBelow(`${folder(key)}claims/`),
    items: `${prefix}/items/`,
    lease: (hash) => Buffer.from(`${prefix}/leases/${hash}`),
    place(key) {
      const text = key.toString()
      if (!text.startsWith(services)) return undefined
      const parts = text.slice(services.length).split('/')
      const [namespace, service, kind, name] = parts.map(nameOf)
      if (parts.length !== 4 || namespace === undefined || service === undefined || name === undefined)
        return undefined
      return placeOf(kind, { namespace, service }, name)
    },
    ranges: (wanted) => wanted?.map((key) => keysBelow(folder(key))) ?? [keysBelow(services)],
    encode: ({ instance, lease }) => Buffer.from(JSON.stringify({ ...instance, lease })),
    decode(key, value) {
      const record = JSON.parse(value.toString()) as { readonly lease?: unknown } | null
      const instance = storedInstance(record)
      if (instanceId(instance) !== instanceId(key))
        throw new Error('it is of another instance than its key says')
      return { instance, lease: typeof record?.lease === 'string' ? record.lease : undefined }
    },
  }
}

function placeOf(kind: string | undefined, service: ServiceKey, name: string): Place | undefined {
  switch (kind) {
    case 'instances':
      return { kind: 'instance', key: { ...service, id: name } }
    case 'health':
      return { kind: 'health', key: { ...service, id: name } }
    case 'claims':
      return { kind: 'claim', key: { ...service, name } }
    default:
      return undefined
  }
}
