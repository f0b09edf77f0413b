import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A real instance of a service: it says its name at `/`, and at `/metrics` for Prometheus. */
export interface Target extends AsyncDisposable {
  readonly name: string
  readonly address: string
  readonly port: number
}

/** Listens on loopback; by default on a free port of 127.0.0.1. */
export async function target(
  name: string,
  { address = '127.0.0.1', port: wanted = 0 } = {},
): Promise<Target> {
  const http = createServer(({ url }, response) => {
    response.setHeader('content-type', 'text/plain')
    response.end(url === '/metrics' ? `here{name="${name}"} 1\n` : name)
  })
  http.listen(wanted, address)
  await once(http, 'listening')
  const { port } = http.address() as AddressInfo
  return {
    name,
    address,
    port,
    async [Symbol.asyncDispose]() {
      http.close()
      http.closeAllConnections()
      await once(http, 'close')
    },
  }
}

/** It in Consul's words, as an instance of `web` that is passing. */
export function web({ name, address, port }: Target) {
  return {
    ID: name,
    Name: 'web',
    Address: address,
    Port: port,
    Tags: ['metrics'],
    Meta: { team: 'shop' },
    Check: { TTL: '60s', Status: 'passing' },
  }
}
