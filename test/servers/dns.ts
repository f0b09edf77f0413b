import { Resolver } from 'node:dns/promises'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { type ServerProgram, serverProgram } from './server-program.ts'

export interface DnsServer extends ServerProgram {
  /** `dns://ADDRESS:PORT/` */
  readonly url: string
  readonly port: number
  /** Starts it again with other lines of configuration. */
  configure(lines: readonly string[]): Promise<void>
}

export interface DnsOptions {
  /** Default 127.0.0.1. */
  readonly address?: string
  /** Default a free one. */
  readonly port?: number
}

/**
 * dnsmasq, with lines of its configuration, such as `host-record=app.test.local,10.0.0.1,10` (the last is the TTL, in
 * seconds), `srv-host=_app._tcp.test.local,one.test.local,8080,0,1` (target, port, priority, weight) and
 * `local=/test.local/`, which makes it answer NXDOMAIN for what it does not know there.
 */
export async function dnsServer(
  lines: readonly string[] = [],
  { address = '127.0.0.1', port: wanted }: DnsOptions = {},
): Promise<DnsServer> {
  const port = wanted ?? (await freePort())
  const configuration = (folder: string) => join(folder, 'dnsmasq.conf')
  const write = (folder: string, own: readonly string[]) => {
    const all = ['bind-interfaces', 'no-resolv', 'no-hosts', 'log-facility=-', 'pid-file', 'user=', ...own]
    writeFileSync(configuration(folder), `${all.join('\n')}\n`)
  }
  const started = await serverProgram('dns', (folder) => {
    write(folder, lines)
    return {
      args: [
        '--keep-in-foreground',
        `--conf-file=${configuration(folder)}`,
        `--listen-address=${address}`,
        `--port=${port}`,
      ],
      ready: () => answers(address, port),
      facts: { url: `dns://${address}:${port}/`, port },
    }
  })
  return Object.assign(started, {
    async configure(lines: readonly string[]) {
      write(started.folder, lines)
      await started.restart()
    },
  })
}

/** Any answer will do, also that there is none. */
async function answers(address: string, port: number): Promise<boolean> {
  const resolver = new Resolver({ timeout: 500, tries: 1 })
  resolver.setServers([`${address}:${port}`])
  try {
    await resolver.resolve4('ready.seamark.test')
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOTFOUND' || code === 'ENODATA' || code === 'EREFUSED' || code === 'ESERVFAIL'
  }
}
