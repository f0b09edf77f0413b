import { freePort } from './free-port.ts'
import { type ServerProgram, serverProgram } from './server-program.ts'
import { tls } from './tls.ts'

export interface ConsulServer extends ServerProgram {
  /** `consul://127.0.0.1:PORT` */
  readonly url: string
  /** Of its HTTP API. */
  readonly port: number
  /** Of its HTTP API over TLS, with the certificate of `tls.ts`. */
  readonly securePort: number
  /** Of its DNS interface. */
  readonly dnsPort: number
}

export interface ConsulOptions {
  /** More configuration, such as `{ acl: { enabled: true, default_policy: 'deny' } }`. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** A token that may read the catalog, where these settings turn access control on. */
  readonly token?: string
}

/** A Consul agent that is its own server, and keeps its data over a restart. */
export function consulServer({ settings = {}, token }: ConsulOptions = {}): Promise<ConsulServer> {
  return serverProgram('consul', async (folder) => {
    const [http, https, dns, server, lan] = await Promise.all([
      freePort(),
      freePort(),
      freePort(),
      freePort(),
      freePort(),
    ])
    const all = {
      data_dir: `${folder}/data`,
      server: true,
      bootstrap_expect: 1,
      bind_addr: '127.0.0.1',
      client_addr: '127.0.0.1',
      log_level: 'WARN',
      disable_update_check: true,
      enable_script_checks: false,
      limits: { http_max_conns_per_client: 1_000 },
      cert_file: tls.certificate,
      key_file: tls.key,
      performance: { raft_multiplier: 1 },
      ports: { http, dns, server, serf_lan: lan, serf_wan: -1, grpc: -1, https },
      ...settings,
    }
    return {
      args: ['agent', '-hcl', JSON.stringify(all)],
      ready: () => registered(http, token),
      facts: { url: `consul://127.0.0.1:${http}`, port: http, securePort: https, dnsPort: dns },
    }
  })
}

/**
 * It has a leader, which has all that was ever written, and has found itself. Who may not ask for that is told so by one
 * that is ready, too.
 */
async function registered(port: number, token = ''): Promise<boolean> {
  const url = `http://127.0.0.1:${port}/v1/health/service/consul?passing&consistent`
  const response = await fetch(url, {
    headers: { 'x-consul-token': token },
    signal: AbortSignal.timeout(2_000),
  })
  if (response.status === 403) return true
  const nodes: unknown = await response.json()
  const filtered = response.headers.get('x-consul-results-filtered-by-acls') === 'true'
  return response.ok && Array.isArray(nodes) && (nodes.length === 1 || filtered)
}
