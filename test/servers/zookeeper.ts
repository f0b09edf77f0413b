import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
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
export async function zookeeperServer({ settings = {} }: ZookeeperOptions = {}): Promise<ZookeeperServer> {
  return start(await freePort(), settings, 'org.apache.zookeeper.server.ZooKeeperServerMain')
}

export interface ZookeeperEnsemble extends AsyncDisposable {
  /** All of them: `zookeeper://127.0.0.1:PORT,127.0.0.1:PORT,…` */
  readonly url: string
  readonly members: readonly ZookeeperServer[]
  /** Whom the others follow now; waits until there is one. */
  leader(): Promise<ZookeeperServer>
}

/** Several ZooKeeper servers that follow one of them. */
export async function zookeeperEnsemble({ size = 3 }: { size?: number } = {}): Promise<ZookeeperEnsemble> {
  const ids = Array.from({ length: size }, (_, index) => index + 1)
  const settings: Record<string, string | number> = { initLimit: 50, syncLimit: 25 }
  for (const id of ids) settings[`server.${id}`] = `127.0.0.1:${await freePort()}:${await freePort()}`
  const ports = await Promise.all(ids.map(() => freePort()))
  const starts = await Promise.allSettled(
    ids.map((id, index) =>
      start(ports[index]!, settings, 'org.apache.zookeeper.server.quorum.QuorumPeerMain', id),
    ),
  )
  const members = starts.flatMap((started) => (started.status === 'fulfilled' ? started.value : []))
  const dispose = async () => {
    await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
  }
  const failed = starts.find((started) => started.status === 'rejected')
  if (failed !== undefined) {
    await dispose()
    throw failed.reason
  }
  return {
    url: `zookeeper://${ports.map((port) => `127.0.0.1:${port}`).join(',')}`,
    members,
    async leader() {
      const until = performance.now() + 30_000
      while (performance.now() < until) {
        for (const member of members) {
          const answer = member.running ? await ask(member.port, 'srvr').catch(() => '') : ''
          if (answer.includes('Mode: leader')) return member
        }
        await sleep(50)
      }
      throw new Error('No member of the ensemble became its leader within 30 s.')
    },
    [Symbol.asyncDispose]: dispose,
  }
}

function start(
  port: number,
  settings: Readonly<Record<string, string | number>>,
  main: string,
  id?: number,
): Promise<ZookeeperServer> {
  return serverProgram('zookeeper', async (folder, { args }) => {
    const dataDir = join(folder, 'data')
    const all = {
      dataDir,
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
    if (id !== undefined) {
      mkdirSync(dataDir)
      writeFileSync(join(dataDir, 'myid'), String(id))
    }
    const java = [
      ...['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx128m'],
      ...['-Dzookeeper.forceSync=no', '-Dzookeeper.extendedTypesEnabled=true'],
      ...[main, file],
    ]
    return {
      // A program without arguments of its own is ZooKeeper's own script.
      args: args.length === 0 ? ['start-foreground', file] : java,
      ready: async () => (await ask(port, 'srvr')).startsWith('Zookeeper version'),
      facts: { url: `zookeeper://127.0.0.1:${port}`, port },
    }
  })
}
