import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask } from './ask.ts'
import { freePort } from './free-port.ts'
import { type ServerProgram, serverProgram } from './server-program.ts'

export interface ZookeeperServer extends ServerProgram {
  /** `zookeeper://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
}

export interface ZookeeperOptions {
  /** Default: the one of this machine's Debian, 3.8 in Debian 12. */
  readonly version?: '3.9'
  /** More lines of zoo.cfg. */
  readonly settings?: Readonly<Record<string, string | number>>
}

/** One ZooKeeper server. It expires a session at the next multiple of its tick, which is 200 ms. */
export function zookeeperServer({ settings = {}, version }: ZookeeperOptions = {}): Promise<ZookeeperServer> {
  return serverProgram(version ? `zookeeper-${version}` : 'zookeeper', async (folder, { args }) => {
    const port = await freePort()
    const all = {
      dataDir: join(folder, 'data'),
      clientPort: port,
      clientPortAddress: '127.0.0.1',
      tickTime: 200,
      minSessionTimeout: 400,
      maxSessionTimeout: 60_000,
      maxClientCnxns: 0,
      'admin.enableServer': false,
      '4lw.commands.whitelist': '*',
      ...settings,
    }
    const file = join(folder, 'zoo.cfg')
    writeFileSync(
      file,
      Object.entries(all)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    )
    const java = [
      ...['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx128m'],
      ...['-Dzookeeper.forceSync=no', '-Dzookeeper.extendedTypesEnabled=true'],
      ...['org.apache.zookeeper.server.ZooKeeperServerMain', file],
    ]
    return {
      // A program without arguments of its own is ZooKeeper's own script.
      args: args.length === 0 ? ['start-foreground', file] : java,
      ready: async () => (await ask(port, 'srvr')).startsWith('Zookeeper version'),
      facts: { url: `zookeeper://127.0.0.1:${port}`, port },
    }
  })
}
