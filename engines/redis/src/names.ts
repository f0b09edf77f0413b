import type { ClaimKey, InstanceKey, ServiceKey } from '@seamark/core'

/** What a name in Redis stands for. */
export type Named =
  | { readonly kind: 'instance'; readonly key: InstanceKey }
  | { readonly kind: 'claim'; readonly key: ClaimKey }

/** `default/api/`: how the names of everything in a service begin, and nothing else's. */
export function serviceName({ namespace, service }: ServiceKey): string {
  return `${escaped(namespace)}/${escaped(service)}/`
}

/** `default/api/i/i1`: the field or member that an instance has in each of the registry's keys. */
export function instanceName(key: InstanceKey): string {
  return `${serviceName(key)}i/${escaped(key.id)}`
}

/** `default/api/c/primary` */
export function claimName(key: ClaimKey): string {
  return `${serviceName(key)}c/${escaped(key.name)}`
}

/** What `instanceName` or `claimName` was made of; `undefined` for what they never make. */
export function named(name: string): Named | undefined {
  const [, namespace, service, kind, last] = /^([^/]+)\/([^/]+)\/([ic])\/([^/]+)$/.exec(name) ?? []
  if (namespace === undefined || service === undefined || last === undefined) return undefined
  const key = { namespace: unescaped(namespace), service: unescaped(service) }
  return kind === 'i'
    ? { kind: 'instance', key: { ...key, id: unescaped(last) } }
    : { kind: 'claim', key: { ...key, name: unescaped(last) } }
}

export function escaped(part: string): string {
  return part.replaceAll('%', '%25').replaceAll('/', '%2F')
}

export function unescaped(part: string): string {
  return part.replaceAll('%2F', '/').replaceAll('%25', '%')
}
