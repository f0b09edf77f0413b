import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask } from './ask.ts'
import { freePort } from './free-port.ts'
import { type ServerProgram, serverProgram } from './server-program.ts'

export interface RedisSentinel extends ServerProgram {
  /** `redis-sentinel://127.0.0.1:PORT/MASTER` */
  readonly url: string
  readonly port: number
}

/** What a sentinel calls the master it watches. */
const master = 'mymaster'

/**
 * A sentinel, enough of them to decide, that watches the Redis server on a port, and makes one of its replicas the master
 * half a second after it went.
 */
export function redisSentinel(masterPort: number): Promise<RedisSentinel> {
  return serverProgram('redis', async (folder) => {
    const port = await freePort()
    const file = join(folder, 'sentinel.conf')
    // It keeps what it knows in its configuration.
    writeFileSync(
      file,
      `port ${port}
bind 127.0.0.1
dir ${folder}
sentinel monitor ${master} 127.0.0.1 ${masterPort} 1
sentinel down-after-milliseconds ${master} 500
sentinel failover-timeout ${master} 10000
`,
    )
    return {
      args: [file, '--sentinel'],
      ready: async () => /\+PONG/.test(await ask(port, 'PING\r\n')),
      facts: { url: `redis-sentinel://127.0.0.1:${port}/${master}`, port },
    }
  })
}
