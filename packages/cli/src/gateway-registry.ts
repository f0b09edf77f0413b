import type { Directory, Notify } from '@seamark/core'
import type { GatewayRoutes } from '@seamark/gateway'
import { api, serverUrls } from './api.ts'
import { Contact } from './contact.ts'
import { openEngineAt } from './engine.ts'
import type { Output } from './output.ts'

/** Where the instances of a gateway come from, and its routes file. */
export interface GatewaySource {
  readonly url: string
  readonly engine: string | undefined
  readonly routes: string | undefined
}

export interface OpenDirectory {
  readonly directory: Directory
  /** Where it is, for people. */
  readonly place: string
}

/** Opens what a gateway watches: a server, or an engine itself. A server that is away is no error. */
export async function openDirectory(
  { url, engine }: Pick<GatewaySource, 'url' | 'engine'>,
  notify: Notify,
): Promise<OpenDirectory> {
  if (engine !== undefined) {
    const { engine: directory, place } = await openEngineAt(engine, notify)
    return { directory, place }
  }
  const servers = serverUrls(url).join(',')
  const { http } = await import('@seamark/client')
  return { directory: http(servers), place: servers }
}

/** Shows the routes as they are now. Throws what keeps the registry from telling. */
export async function withRoutes<T>(
  source: GatewaySource,
  output: Output,
  use: (routes: GatewayRoutes) => T | Promise<T>,
): Promise<T> {
  if (source.engine === undefined) await api(source.url).get('/status')
  const [{ catalog }, { routes }] = await Promise.all([import('@seamark/core'), import('@seamark/gateway')])
  const { directory } = await openDirectory(source, () => {})
  await using contact = new Contact(directory, output)
  try {
    await using replica = catalog(contact)
    await Promise.race([replica.warm(), contact.refused])
    await using table = await routes({
      catalog: replica,
      ...(source.routes !== undefined && { file: source.routes }),
    })
    return await use(table)
  } finally {
    await directory[Symbol.asyncDispose]()
  }
}
