import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { type ServerProgram, serverProgram } from './server-program.ts'

/** What it says of a target that it scrapes. */
export interface Target {
  readonly labels: Readonly<Record<string, string>>
  readonly scrapeUrl: string
  readonly health: 'up' | 'down' | 'unknown'
}

export interface PrometheusServer extends ServerProgram {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  /** What it scrapes at the moment. */
  targets(): Promise<readonly Target[]>
}

export interface PrometheusOptions {
  /** In YAML. */
  readonly configuration: string
  /** Debian 11's, which has `consul_sd_configs`, or the one that is there. Default the latter. */
  readonly version?: '2.24'
  /** The IP address of what it asks for names, on port 53; for root, on Linux. Default what this machine asks. */
  readonly nameserver?: string
}

export async function prometheusServer({
  configuration,
  version,
  nameserver,
}: PrometheusOptions): Promise<PrometheusServer> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  return serverProgram(version ? `prometheus-${version}` : 'prometheus', (folder) => {
    const file = join(folder, 'prometheus.yml')
    writeFileSync(file, configuration)
    const resolver = join(folder, 'resolv.conf')
    if (nameserver !== undefined) writeFileSync(resolver, `nameserver ${nameserver}\n`)
    return {
      args: [
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ],
      ...(nameserver !== undefined && { starter: seeing(resolver) }),
      ready: async () => (await fetch(`${url}/-/ready`)).ok,
      facts: {
        url,
        port,
        async targets() {
          const response = await fetch(`${url}/api/v1/targets?state=active`)
          const { data } = (await response.json()) as { data: { activeTargets: Target[] } }
          return data.activeTargets
        },
      },
    }
  })
}

/** It takes its name server from no other file than this one, so it gets a view of the machine in which that is ours. */
function seeing(resolver: string): readonly string[] {
  return ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolver]
}
