import { ask } from './ask.ts'
import { freePort } from './free-port.ts'
import { type ServerProgram, serverProgram } from './server-program.ts'

export interface RedisServer extends ServerProgram {
  /** `redis://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
}

export interface RedisOptions {
  /** More arguments for redis-server, such as `'--requirepass', 'secret'`. */
  readonly args?: readonly string[]
}

/** A Redis server that keeps nothing: after a restart it is empty. */
export function redisServer({ args = [] }: RedisOptions = {}): Promise<RedisServer> {
  return serverProgram('redis', async (folder) => {
    const port = await freePort()
    return {
      args: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder],
        ...['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0'],
        ...args,
      ],
      // One that wants a password first is ready, too.
      ready: async () => /^(?:\+PONG|-NOAUTH)/.test(await ask(port, 'PING\r\n')),
      facts: { url: `redis://127.0.0.1:${port}`, port },
    }
  })
}
