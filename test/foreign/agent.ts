import { describe, expect, vi } from 'vitest'
import { consulServer } from '../servers/consul.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { seamarkAgent } from './seamark-agent.ts'

/** What Consul's tools are pointed at. */
export interface Agent extends AsyncDisposable {
  /** Of its HTTP API. */
  readonly url: string
  readonly port: number
  readonly dnsPort: number
}

/** What its node is called. */
export const node = 'harbour'

/**
 * Tests of a tool that speaks Consul, against Seamark, and the same ones against Consul: what they expect is what Consul
 * does.
 */
export function agentTests(suite: (start: () => Promise<Agent>) => void): void {
  engineTests('consul', () => suite(consulAgent))
  describe('Seamark', () => suite(() => seamarkAgent()))
}

async function consulAgent(): Promise<Agent> {
  const consul = await consulServer({ settings: { node_name: node, dns_config: { enable_truncate: true } } })
  const { port, dnsPort } = consul
  const dispose = consul[Symbol.asyncDispose].bind(consul)
  return { url: `http://127.0.0.1:${port}`, port, dnsPort, [Symbol.asyncDispose]: dispose }
}

/** Registers a service, in Consul's words; resolves once the catalog shows it. */
export async function register(
  { url }: Agent,
  service: { readonly ID: string; readonly Name: string },
): Promise<void> {
  await put(`${url}/v1/agent/service/register`, service)
  await shown(url, service.Name, (ids) => ids.includes(service.ID))
}

/** Resolves once the catalog does not show it. */
export async function deregister({ url }: Agent, id: string): Promise<void> {
  const services = await get(`${url}/v1/agent/services`)
  await put(`${url}/v1/agent/service/deregister/${id}`)
  await shown(url, services[id].Service, (ids) => !ids.includes(id))
}

/** Reports the result of a check. */
export async function report({ url }: Agent, check: string, result: 'pass' | 'warn' | 'fail'): Promise<void> {
  await put(`${url}/v1/agent/check/${result}/${check}`)
}

/** Consul's agent tells its catalog a moment later. */
function shown(url: string, service: string, check: (ids: readonly string[]) => boolean): Promise<void> {
  return vi.waitFor(async () => {
    const entries: { ServiceID: string }[] = await get(`${url}/v1/catalog/service/${service}`)
    expect(entries.map(({ ServiceID }) => ServiceID)).toSatisfy(check)
  }, patience)
}

const patience = { timeout: 10_000, interval: 20 }

// biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
async function get(url: string): Promise<any> {
  return (await fetch(url)).json()
}

export async function put(url: string, body?: unknown): Promise<void> {
  const response = await fetch(url, {
    method: 'PUT',
    ...(body !== undefined && {
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
}
