import { freePort } from './free-port.ts'
import { type ServerProgram, serverProgram } from './server-program.ts'
import { tls } from './tls.ts'

export interface EtcdServer extends ServerProgram {
  /** `etcd://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
}

export interface EtcdCluster extends AsyncDisposable {
  /** `etcd://127.0.0.1:PORT,127.0.0.1:PORT,127.0.0.1:PORT` */
  readonly url: string
  readonly members: readonly EtcdServer[]
  /** Whom those that run and have a quorum agree on; waits for an election. */
  leader(): Promise<EtcdServer>
}

export interface EtcdOptions {
  /** More arguments for etcd, such as `--auth-token=…`. */
  readonly args?: readonly string[]
  /** Whether clients have to use TLS, with the certificate of `tls.ts`. Default: no. */
  readonly secure?: boolean
}

interface Place {
  readonly name: string
  readonly client: number
  readonly peer: number
  /** Answers questions of its health in plain HTTP. */
  readonly metrics: number
}

/** One etcd server, a cluster by itself. */
export async function etcdServer(options: EtcdOptions = {}): Promise<EtcdServer> {
  const place = await newPlace('solo')
  return member(place, [place], options)
}

/** Three etcd servers, or as many as wanted, as one cluster. */
export async function etcdCluster({
  size = 3,
  ...options
}: EtcdOptions & { size?: number } = {}): Promise<EtcdCluster> {
  const places = await Promise.all(Array.from({ length: size }, (_, at) => newPlace(`member${at + 1}`)))
  const started = await Promise.allSettled(places.map((place) => member(place, places, options)))
  const members = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const self: EtcdCluster = {
    url: `etcd://${members.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    members,
    async leader() {
      for (;;) {
        for (const member of members) if (member.running && (await leads(member.port))) return member
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
    },
  }
  const failed = started.find((each) => each.status === 'rejected')
  if (failed === undefined) return self
  await self[Symbol.asyncDispose]()
  throw failed.reason
}

async function newPlace(name: string): Promise<Place> {
  const [client, peer, metrics] = await Promise.all([freePort(), freePort(), freePort()])
  return { name, client, peer, metrics }
}

function member(
  { name, client, peer, metrics }: Place,
  all: readonly Place[],
  { args: more = [], secure = false }: EtcdOptions,
): Promise<EtcdServer> {
  const own = `${secure ? 'https' : 'http'}://127.0.0.1:${client}`
  const cluster = all.map((each) => `${each.name}=http://127.0.0.1:${each.peer}`)
  const args = [
    `--name=${name}`,
    '--data-dir=data',
    `--listen-client-urls=${own}`,
    `--advertise-client-urls=${own}`,
    `--listen-metrics-urls=http://127.0.0.1:${metrics}`,
    ...(secure ? [`--cert-file=${tls.certificate}`, `--key-file=${tls.key}`] : []),
    `--listen-peer-urls=http://127.0.0.1:${peer}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
    `--initial-cluster=${cluster.join(',')}`,
    // A tenth of what is usual, but not so little that a busy machine elects without need. The shortest lease that etcd
    // grants is half as much again as this, in whole seconds: 1 s.
    '--heartbeat-interval=50',
    '--election-timeout=500',
    '--unsafe-no-fsync',
    '--logger=zap',
    '--log-level=warn',
    ...more,
  ]
  return serverProgram('etcd', () => ({
    args,
    ready: () => health(metrics),
    facts: { url: `etcd://127.0.0.1:${client}`, port: client },
  }))
}

async function health(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2_000) })
  const { health } = (await response.json()) as { health: string }
  return health === 'true'
}

async function leads(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/v3/maintenance/status`, {
      method: 'POST',
      body: '{}',
      signal: AbortSignal.timeout(2_000),
    })
    const { leader, header } = (await response.json()) as { leader: string; header: { member_id: string } }
    return leader === header.member_id
  } catch {
    return false
  }
}
