import { type Answer, asked } from './asked.ts'

interface Namespaces {
  readonly namespaces: readonly { readonly namespace: string }[]
}

interface Services {
  readonly services: readonly { readonly service: string }[]
  readonly next: null
}

interface Instances {
  readonly instances: readonly { readonly id: string }[]
  readonly holders: readonly unknown[]
  readonly next: null
}

/**
 * All that a server shows, by `namespace/service/id`: each instance with its health and its revisions, what the listing says
 * of its service, and who holds claims there. A service's own revision is not among it: that says when this server last
 * heard of a change in it.
 */
export async function dump(server: { readonly url: string }): Promise<Record<string, unknown>> {
  const all: Record<string, unknown> = {}
  const { namespaces } = whole(await asked<Namespaces>(server, '/namespaces'))
  for (const { namespace } of namespaces) {
    const path = `/namespaces/${namespace}/services`
    const { services } = whole(await asked<Services>(server, `${path}?limit=1000`))
    for (const summary of services) {
      const { service } = summary
      const { instances, holders } = whole(await asked<Instances>(server, `${path}/${service}?limit=10000`))
      for (const instance of instances)
        all[`${namespace}/${service}/${instance.id}`] = { instance, summary, holders }
    }
  }
  return all
}

function whole<Body extends object>({ status, body }: Answer<Body>): Body {
  if (status !== 200 || ('next' in body && body.next !== null))
    throw new Error(`${status}: ${JSON.stringify(body)}`)
  return body
}
