import { ask } from './ask.ts'
import { freePort } from './free-port.ts'
import { type ServerProgram, serverProgram } from './server-program.ts'
import { tls } from './tls.ts'

export interface RedisServer extends ServerProgram {
  /** `redis://127.0.0.1:PORT`, or `rediss://…` if it is secure */
  readonly url: string
  readonly port: number
}

export interface RedisOptions {
  /** More arguments for redis-server, such as `'--requirepass', 'secret'`. */
  readonly args?: readonly string[]
  /** Whether clients have to use TLS, with the certificate of `tls.ts`. Default: no. */
  readonly secure?: boolean
}

/** A Redis server that keeps nothing: after a restart it is empty. */
export function redisServer({ args = [], secure = false }: RedisOptions = {}): Promise<RedisServer> {
  return serverProgram('redis', async (folder) => {
    const port = await freePort()
    return {
      args: [
        ...(secure ? withTls(port) : ['--port', String(port)]),
        ...['--bind', '127.0.0.1', '--dir', folder],
        ...['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0'],
        ...args,
      ],
      // One that wants a password first is ready, too.
      ready: async () => /^(?:\+PONG|-NOAUTH)/.test(await ask(port, 'PING\r\n', { secure })),
      facts: { url: `${secure ? 'rediss' : 'redis'}://127.0.0.1:${port}`, port },
    }
  })
}

function withTls(port: number): string[] {
  const files = ['--tls-cert-file', tls.certificate, '--tls-key-file', tls.key, '--tls-ca-cert-file', tls.ca]
  return ['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no', ...files]
}
