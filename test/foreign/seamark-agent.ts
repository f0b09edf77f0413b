import { memory } from '@seamark/core'
import { type DnsServerOptions, dnsServer } from '@seamark/dns'
import { type Server, server } from '@seamark/server'
import { type Agent, node } from './agent.ts'

export interface SeamarkAgent extends Agent {
  readonly server: Server
}

/** A server with all its faces, over an engine in memory. */
export async function seamarkAgent(dnsOptions: Partial<DnsServerOptions> = {}): Promise<SeamarkAgent> {
  const engine = memory()
  const running = await server({ engine, engineName: 'memory', port: 0, consul: { nodeName: node } })
  const dns = await dnsServer({
    catalog: running.catalog,
    names: running.consul,
    port: 0,
    ...dnsOptions,
  })
  return {
    url: running.url,
    port: running.port,
    dnsPort: dns.port,
    server: running,
    async [Symbol.asyncDispose]() {
      await dns[Symbol.asyncDispose]()
      await running.close()
      await engine[Symbol.asyncDispose]()
    },
  }
}
