import { type ServerProcess, serverProcess } from '../system/server-process.ts'

/** Several Seamark servers over one engine, each a process of its own, called `server-1` and so on. */
export interface Fleet extends AsyncDisposable {
  readonly servers: readonly FleetServer[]
  /** For clients: all of them. */
  readonly url: string
}

export interface FleetServer extends ServerProcess {
  readonly name: string
}

/** Starts a server for each of these URLs of one engine. */
export async function fleet(engines: readonly string[]): Promise<Fleet> {
  const starts = await Promise.allSettled(
    engines.map(async (engine, index) => {
      const name = `server-${index + 1}`
      return Object.assign(await serverProcess(engine, 0, '--name', name), { name })
    }),
  )
  const servers = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  const self: Fleet = {
    servers,
    url: servers.map(({ url }) => url).join(','),
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server.kill()))
    },
  }
  const failed = starts.find((start) => start.status === 'rejected')
  if (failed === undefined) return self
  await self[Symbol.asyncDispose]()
  throw failed.reason
}
