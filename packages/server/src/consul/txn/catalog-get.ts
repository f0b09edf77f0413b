import { ConsulError } from '../answer.ts'
import type { ConsulContext } from '../context.ts'
import { quote } from '../filter/quote.ts'
import { checkJson, nodeJson, serviceJson } from '../json.ts'
import type { CatalogOperation } from './txn-body.ts'

const namespace = 'default'

/**
 * Nodes, services and checks can be read in a transaction. They cannot be changed in one: they are the registry's, which does
 * not change together with keys.
 */
export function catalogGet(context: ConsulContext, operation: CatalogOperation): Record<string, unknown> {
  const { type, Verb } = operation
  if (Verb !== 'get')
    throw new ConsulError(
      409,
      verbs.has(Verb)
        ? `${type} operations of a transaction can only get: register and deregister by /v1/catalog`
        : `unknown ${type} verb ${quote(Verb)}`,
    )
  return { [type]: readers[type](context, operation.body) }
}

const verbs = new Set(['set', 'cas', 'delete', 'delete-cas'])

type Body = Readonly<Record<string, unknown>>

const readers: Readonly<Record<CatalogOperation['type'], (context: ConsulContext, body: Body) => unknown>> = {
  Node({ view, settings }, { Node }) {
    const name = text(Node, 'Node')
    const node =
      view.nodes.find(name) ?? view.nodes.list().find(({ id }) => id !== '' && id === text(Node, 'ID'))
    if (node === undefined) throw new ConsulError(409, `node ${quote(name)} doesn't exist`)
    return nodeJson(node, settings.datacenter)
  },
  Service({ view }, { Node, Service }) {
    const [name, id] = [typeof Node === 'string' ? Node : '', text(Service, 'ID')]
    const node = view.nodes.find(name)
    const service = node && view.servicesOn(namespace, node).find((service) => service.id === id)
    if (service === undefined)
      throw new ConsulError(409, `service ${quote(id)} on node ${quote(name)} doesn't exist`)
    return serviceJson(service)
  },
  Check({ view }, { Check }) {
    const [name, id] = [text(Check, 'Node'), text(Check, 'CheckID')]
    const node = view.nodes.find(name)
    const checks = node
      ? [...node.checks, ...view.servicesOn(namespace, node).flatMap(({ checks }) => checks)]
      : []
    const check = checks.find((check) => check.id === id)
    if (check === undefined)
      throw new ConsulError(409, `check ${quote(id)} on node ${quote(name)} doesn't exist`)
    return checkJson(check)
  },
}

/** A text field of whatever came, its name in any case; else empty. */
function text(body: unknown, field: string): string {
  if (typeof body !== 'object' || body === null) return ''
  const found = Object.entries(body).find(([name]) => name.toLowerCase() === field.toLowerCase())?.[1]
  return typeof found === 'string' ? found : ''
}
