import { Resolver } from 'node:dns/promises'
import { connect, type Discovery } from '@seamark/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { seamark, start } from '../cli/seamark.ts'
import { put } from './agent.ts'
import { type SeamarkAgent, seamarkAgent } from './seamark-agent.ts'

/** What is said of an instance everywhere. */
interface Place {
  readonly service: string
  readonly id: string
  readonly port: number
}

/** Makes an instance of a service known, with the address 127.0.0.1 and the tag `blue`; answers how to take it back. */
type WayIn = (place: Place) => Promise<() => PromiseLike<unknown>>

/** The ports that it shows of those instances of a service which are healthy, have that address, and that tag. */
type WayOut = (service: string) => Promise<readonly number[]>

let agent: SeamarkAgent
let discovery: Discovery
const resolver = new Resolver({ timeout: 1_000, tries: 1 })

beforeAll(async () => {
  agent = await seamarkAgent()
  discovery = connect(agent.url)
  resolver.setServers([`127.0.0.1:${agent.dnsPort}`])
})
afterAll(async () => {
  await discovery?.[Symbol.asyncDispose]()
  await agent?.[Symbol.asyncDispose]()
})

const native = (path: string) => `${agent.url}/api/v1${path}`
const services = '/namespaces/default/services'

const waysIn: Record<string, WayIn> = {
  async 'the native API'({ service, id, port }) {
    const url = native(`${services}/${service}/instances/${id}`)
    await put(url, { address: '127.0.0.1', port, tags: ['blue'] })
    return () => fetch(url, { method: 'DELETE' })
  },
  async "Consul's agent"({ service, id, port }) {
    const url = `${agent.url}/v1/agent/service`
    await put(`${url}/register`, { Name: service, ID: id, Address: '127.0.0.1', Port: port, Tags: ['blue'] })
    return () => put(`${url}/deregister/${id}`)
  },
  async "Consul's catalog"({ service, id, port }) {
    const Node = 'buoy'
    await put(`${agent.url}/v1/catalog/register`, {
      Node,
      Address: '127.0.0.1',
      Service: { ID: id, Service: service, Port: port, Tags: ['blue'] },
    })
    return () => put(`${agent.url}/v1/catalog/deregister`, { Node })
  },
  async 'the client'({ service, id, port }) {
    const announced = await discovery.announce({
      name: service,
      id,
      port,
      address: '127.0.0.1',
      tags: ['blue'],
    })
    return () => announced[Symbol.asyncDispose]()
  },
  async 'the command line'({ service, id, port }) {
    const words = [service, '--id', id, '--port', String(port), '--address', '127.0.0.1', '--tag', 'blue']
    const running = start(['register', ...words, '--ttl', '5s'], { environment: { SEAMARK_URL: agent.url } })
    await running.prints(/^Registered /m)
    return async () => {
      running.process.kill('SIGINT')
      await running.ended
    }
  },
}

interface ConsulService {
  readonly Address: string
  readonly ServiceAddress: string
  readonly ServicePort: number
}

interface AgentService {
  readonly Service: string
  readonly Address: string
  readonly Port: number
  readonly Tags: readonly string[]
}

interface ConsulHealth {
  readonly Node: { readonly Address: string }
  readonly Service: { readonly Address: string; readonly Port: number }
}

interface TargetGroup {
  readonly targets: readonly string[]
}

interface NativeService {
  readonly instances: readonly { readonly address: string; readonly port: number }[]
}

const local = ({ address }: { readonly address: string }) => address === '127.0.0.1'
const portOf = ({ port }: { readonly port: number }) => port

/** Through names: where SRV records lead. */
async function srv(name: string): Promise<readonly number[]> {
  try {
    const found = await resolver.resolveSrv(name)
    const places = await Promise.all(
      found.map(async ({ name, port }) => ({ port, address: String(await resolver.resolve4(name)) })),
    )
    return places.filter(local).map(portOf)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTFOUND' || code === 'ENODATA') return []
    throw error
  }
}

const waysOut: Record<string, WayOut> = {
  async 'the native API'(service) {
    const { instances } = await get<NativeService>(native(`${services}/${service}?tag=blue&health=passing`))
    return instances.filter(local).map(portOf)
  },
  async "Consul's catalog"(service) {
    const found = await get<ConsulService[]>(`${agent.url}/v1/catalog/service/${service}?tag=blue`)
    return found
      .map((each) => ({ address: each.ServiceAddress || each.Address, port: each.ServicePort }))
      .filter(local)
      .map(portOf)
  },
  async "Consul's health"(service) {
    const found = await get<ConsulHealth[]>(`${agent.url}/v1/health/service/${service}?passing&tag=blue`)
    return found
      .map(({ Node, Service }) => ({ address: Service.Address || Node.Address, port: Service.Port }))
      .filter(local)
      .map(portOf)
  },
  async "Consul's agent"(service) {
    const found = await get<Record<string, AgentService>>(`${agent.url}/v1/agent/services`)
    return Object.values(found)
      .filter(({ Service, Tags }) => Service === service && Tags.includes('blue'))
      .map(({ Address, Port }) => ({ address: Address, port: Port }))
      .filter(local)
      .map(portOf)
  },
  "DNS in Consul's style": (service) => srv(`blue.${service}.service.consul`),
  "DNS in RFC 2782's": (service) => srv(`_${service}._blue.service.consul`),
  'DNS by namespace': (service) => srv(`${service}.default.seamark`),
  async 'the client'(service) {
    const found = await discovery.findAll(service, { tags: ['blue'] })
    return found.filter(local).map(portOf)
  },
  async 'the command line'(service) {
    const { stdout } = await seamark(['find', service, '--tag', 'blue'], {
      environment: { SEAMARK_URL: agent.url },
    })
    return [...stdout.matchAll(/^127\.0\.0\.1:(\d+)$/gm)].map(([, port]) => Number(port))
  },
  async 'the targets of Prometheus'(service) {
    const found = await get<TargetGroup[]>(native(`/prometheus?service=${service}&tag=blue&health=passing`))
    return found.flatMap(({ targets }) =>
      targets.flatMap((target) => (target.startsWith('127.0.0.1:') ? Number(target.split(':')[1]) : [])),
    )
  },
}

async function get<T>(url: string): Promise<T> {
  const response = await fetch(url)
  expect(response.status).toBe(200)
  return response.json() as Promise<T>
}

/** What each way out shows of a service. */
async function everywhere(service: string): Promise<Record<string, readonly number[]>> {
  const shown = Object.entries(waysOut).map(async ([name, out]) => [name, await out(service)] as const)
  return Object.fromEntries(await Promise.all(shown))
}

/** What is to be seen of one that came in so. */
function expected(wayIn: string, ports: readonly number[]): Record<string, readonly number[]> {
  const seen = Object.fromEntries(Object.keys(waysOut).map((name) => [name, ports]))
  // That is on other nodes, and this of the agent's own.
  if (wayIn === "Consul's catalog") seen["Consul's agent"] = []
  return seen
}

describe('a service that came in by', () => {
  it.each(Object.keys(waysIn))('%s is seen through every way out, until it leaves', async (name) => {
    const index = Object.keys(waysIn).indexOf(name)
    const place = { service: `service-${index}`, id: `id-${index}`, port: 3_000 + index }
    const leave = await waysIn[name]!(place)
    await expect
      .poll(() => everywhere(place.service), { timeout: 10_000 })
      .toEqual(expected(name, [place.port]))
    await leave()
    await expect.poll(() => everywhere(place.service), { timeout: 10_000 }).toEqual(expected(name, []))
  })
})
