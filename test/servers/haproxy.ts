import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { listens } from './listens.ts'
import { type ServerProgram, serverProgram } from './server-program.ts'

export interface ProxyServer extends ServerProgram {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
}

/** HAProxy, with what stands in its configuration beside `global` and `defaults`. */
export async function haproxyServer(configuration: (port: number) => string): Promise<ProxyServer> {
  const port = await freePort()
  return serverProgram('haproxy', (folder) => {
    const file = join(folder, 'haproxy.cfg')
    writeFileSync(
      file,
      `global
  maxconn 100
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
${configuration(port)}`,
    )
    return {
      args: ['-db', '-f', file],
      ready: () => listens(port),
      facts: { url: `http://127.0.0.1:${port}`, port },
    }
  })
}
