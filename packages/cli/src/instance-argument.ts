import { defaultNamespace, type InstanceKey, isSeamarkError, SeamarkError } from '@seamark/core'
import { type Api, servicePath } from './api.ts'
import type { ServiceDocument } from './documents.ts'
import { everyService } from './service-list.ts'
import { suggestion } from './suggestion.ts'

/**
 * The instance that is meant by `service id`, or by `id` alone: an id is unique in its namespace. Throws
 * `instance_not_found`.
 */
export async function namedInstance(
  server: Api,
  namespace: string,
  first: string,
  second: string | undefined,
): Promise<InstanceKey> {
  if (second !== undefined) return { namespace, service: first, id: second }
  for (const { service } of await everyService(server, namespace))
    for (const id of await ids(server, { namespace, service }))
      if (id === first) return { namespace, service, id }
  throw new SeamarkError(
    'instance_not_found',
    `No instance in namespace ${namespace} has the id "${first}". To see them: seamark instances SERVICE`,
  )
}

/** The error for an instance that its service does not have, with those it has. */
export async function explained(error: unknown, server: Api, key: InstanceKey): Promise<unknown> {
  if (!isSeamarkError(error, 'instance_not_found')) return error
  const present = await ids(server, key)
  const others =
    present.slice(0, 5).join(', ') + (present.length > 5 ? `, and ${present.length - 5} more` : '')
  const where = key.namespace === defaultNamespace ? '' : ` in namespace ${key.namespace}`
  const near = suggestion(key.id, present)
  return new SeamarkError(
    'instance_not_found',
    `Service ${key.service}${where} has no instance "${key.id}".${near || (present.length === 0 ? ' It has none at all.' : ` It has: ${others}.`)}`,
    { cause: error },
  )
}

async function ids(server: Api, key: { namespace: string; service: string }): Promise<string[]> {
  const all: string[] = []
  let after: string | undefined
  do {
    const page: ServiceDocument = await server.get(servicePath(key), { limit: 10_000, after })
    all.push(...page.instances.map(({ id }) => id))
    after = page.next ?? undefined
  } while (after !== undefined)
  return all
}
