import { SeamarkError, type ServiceKey } from '@seamark/core'

/** Where in DNS a service is. */
export interface ServiceNames {
  /** The name whose SRV records tell hosts and ports. */
  readonly services: string
  /** The name whose A or AAAA records tell addresses. */
  readonly addresses: string
}

export interface Templates {
  /**
   * The name of a service in DNS, with `{service}` and `{namespace}` in it; or only what comes behind
   * `{service}.{namespace}`, such as `local`. Default nothing.
   */
  readonly name?: string | undefined
  /**
   * The name that has its SRV records, as `name`; or only what stands before that name, such as `_http._tcp`. Default the
   * same name.
   */
  readonly srv?: string | undefined
}

/** Answers `undefined` for a service that no name in DNS can mean. */
export type Naming = (service: ServiceKey) => ServiceNames | undefined

/** What host names and SRV names (RFC 2782) are made of. DNS knows no upper case. */
const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/
const longestName = 253

/** Turns services into names of DNS. Throws `configuration` for templates that make none. */
export function naming({ name = '', srv = '' }: Templates): Naming {
  const addresses = name.includes('{service}') ? joined(name) : joined('{service}.{namespace}', name)
  const services = srv.includes('{service}') ? joined(srv) : joined(srv, addresses)
  for (const template of [addresses, services]) checkTemplate(template)
  return ({ namespace, service }) => {
    // A service with a dot would be one of another namespace, too.
    if (!label.test(service)) return undefined
    if (!namespace.split('.').every((part) => label.test(part))) return undefined
    const fill = (template: string) =>
      template.replaceAll('{service}', service).replaceAll('{namespace}', namespace)
    const names = { services: fill(services), addresses: fill(addresses) }
    return isName(names.services) && isName(names.addresses) ? names : undefined
  }
}

function joined(...parts: readonly string[]): string {
  return parts
    .map((part) => part.replace(/^\.|\.$/g, ''))
    .filter((part) => part !== '')
    .join('.')
    .toLowerCase()
}

function checkTemplate(template: string): void {
  const example = template.replaceAll('{service}', 's').replaceAll('{namespace}', 'n')
  if (!isName(example))
    throw new SeamarkError(
      'configuration',
      `"${template}" makes no name of DNS: write labels (a-z, 0-9, "-", "_") joined by dots, with {service} and {namespace} where those go.`,
    )
}

function isName(name: string): boolean {
  return name.length <= longestName && name.split('.').every((part) => label.test(part))
}
