import { connect, type Discovery } from '@seamark/client'

/** Services that announce one instance of `api` each, `api/api-1` and so on, and keep it announced. */
export interface Owners extends AsyncDisposable {
  readonly clients: readonly Discovery[]
  /** As witnesses name them. */
  readonly names: readonly string[]
  readonly ids: readonly string[]
  /** Who may renew what. A lease that is kept keeps it; one that is had anew has another. */
  tokens(): readonly (string | undefined)[]
}

/** So many clients of these servers, each with connections and a choice of server of its own. */
export async function owners(url: string, count: number, ttl: number): Promise<Owners> {
  const ids = Array.from({ length: count }, (_, index) => `api-${index + 1}`)
  const clients = ids.map(() => connect(url, { signals: false, notify: () => {} }))
  await Promise.all(
    clients.map(async (client, index) => {
      const id = ids[index]!
      // Nobody waits for callers to notice.
      const about = { name: 'api', id, address: '127.0.0.1', port: 3_000, drain: 0 }
      const announcement = await client.announce({ ...about, ttl })
      await announcement.ready(AbortSignal.timeout(20_000))
    }),
  )
  return {
    clients,
    ids,
    names: ids.map((id) => `api/${id}`),
    tokens: () => clients.map((client) => client.farewell()?.tokens[0]),
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((client) => client.close()))
    },
  }
}
