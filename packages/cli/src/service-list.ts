import type { Api } from './api.ts'
import type { ServiceSummary } from './documents.ts'

/** All services of a namespace, over all pages. */
export async function everyService(server: Api, namespace: string): Promise<ServiceSummary[]> {
  const all: ServiceSummary[] = []
  let after: string | undefined
  do {
    const page: { services: ServiceSummary[]; next: string | null } = await server.get(
      `/namespaces/${encodeURIComponent(namespace)}/services`,
      { limit: 1_000, after },
    )
    all.push(...page.services)
    after = page.next ?? undefined
  } while (after !== undefined)
  return all
}
