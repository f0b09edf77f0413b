import { isIP } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ConsulServer, consulServer } from '../../../../test/servers/consul.ts'
import { engineTests } from '../../../../test/servers/engine-tests.ts'
import { overTcp, overUdp, question, type Said, type Served, said, served } from '../../test/face.ts'
import type { Names, Node, Place } from './names.ts'

const here: Node = { name: 'Host-1', address: '127.0.0.1', metadata: { os: 'linux' } }
const away: Node = {
  name: 'ext.rack',
  address: '10.9.0.1',
  metadata: { 'rfc1035-note': 'as it is', note: 'a=b`c' },
}
const hosted: Node = { name: 'hosted', address: 'host.example.com', metadata: {} }

interface Registered {
  readonly service: string
  readonly id?: string
  /** Empty: the node's. */
  readonly address?: string
  readonly port?: number
  readonly tags?: readonly string[]
  readonly weights?: { readonly passing: number; readonly warning: number }
  readonly status?: 'passing' | 'warning' | 'critical'
  readonly node?: Node
}

const registered: readonly Registered[] = [
  { service: 'web', port: 80, tags: ['Master', 'v2', 'a.b'], weights: { passing: 5, warning: 2 } },
  ...Array.from({ length: 10 }, (_, n) => ({
    service: 'api',
    id: `api-${n}`,
    address: `10.0.0.${n}`,
    port: 3000 + n,
    tags: [n < 4 ? 'blue' : 'green'],
  })),
  { service: 'Mixed', address: '10.0.1.1', port: 1 },
  { service: 'six', address: '2001:db8::1', port: 80 },
  { service: 'both', id: 'both-6', address: '2001:db8::2', port: 80 },
  { service: 'both', id: 'both-4', address: '10.0.2.4', port: 80 },
  { service: 'twice', id: 'twice-1', address: '10.0.3.1', port: 1 },
  { service: 'twice', id: 'twice-2', address: '10.0.3.1', port: 2 },
  { service: 'ext', address: 'example.com', port: 443 },
  { service: 'alias', address: 'six.service.consul', port: 443 },
  { service: 'down', port: 81, status: 'critical' },
  { service: 'ill', port: 82, status: 'warning', weights: { passing: 9, warning: 3 } },
  { service: 'half', id: 'half-up', address: '10.0.4.1', port: 1 },
  { service: 'half', id: 'half-down', address: '10.0.4.2', port: 1, status: 'critical' },
  { service: 'legacy', port: 99, node: away },
  { service: 'cloud', port: 98, node: hosted },
]

/** What Consul keeps of where instances are. */
class Records implements Names {
  readonly datacenter = 'dc1'
  revision() {
    return 1
  }
  node(name: string) {
    return [here, away, hosted].find((node) => node.name.toLowerCase() === name)
  }
  nodesAt(address: string) {
    return [here, away].filter((node) => node.address === address)
  }
  place({ instance: { id } }: Parameters<Names['place']>[0]): Place {
    const found = registered.find(({ service, id: own = service }) => own === id)
    if (found === undefined) return { node: here, atNode: true }
    const { node = here, address = '', weights } = found
    return { node, atNode: address === '', warningWeight: weights?.warning ?? 1 }
  }
  query() {
    return undefined
  }
}

/** What of an answer is to be the same: all but the order, moments, and what comes with it unasked. */
function facts({ code, answers, authorities, extras, truncated }: Said) {
  const sorted = (texts: readonly string[]) => [...texts].sort()
  return {
    code,
    answers: sorted(answers),
    authorities: sorted(authorities),
    // Consul sends a text of the node with each record.
    extras: [...new Set(sorted(extras).filter((extra) => isIP(extra.split(' ')[1] ?? '') !== 0))],
    truncated,
  }
}

engineTests('consul', () => {
  let consul: ConsulServer
  let face: Served
  beforeAll(async () => {
    consul = await consulServer({
      settings: { node_name: here.name, node_meta: here.metadata, dns_config: { enable_truncate: true } },
    })
    face = await served({ names: new Records(), negativeTtl: 0 })
    for (const {
      service,
      id = service,
      address = '',
      port = 0,
      tags = [],
      weights,
      status,
      node,
    } of registered) {
      const { passing = 1, warning = 1 } = weights ?? {}
      const own = { ID: id, Address: address, Port: port, Tags: tags }
      const check = status && { TTL: '1h', Status: status }
      if (node === undefined)
        await put('agent/service/register', {
          ...own,
          Name: service,
          Weights: { Passing: passing, Warning: warning },
          Check: check,
        })
      else
        await put('catalog/register', {
          Node: node.name,
          Address: node.address,
          NodeMeta: node.metadata,
          Service: { ...own, Service: service },
        })
      await face.put({ service, id, address: address || (node ?? here).address, port, tags, weight: passing })
      if (status !== undefined) await face.report({ service, id }, status)
    }
    await face.put({ service: 'consul', address: here.address, port: 8300 })
    // Its catalog follows its agent.
    for (const { service, status } of registered)
      while (
        status !== 'critical' &&
        (await ask(consul.dnsPort, `${service}.service.consul`, 'SRV')).code !== 'NOERROR'
      )
        await new Promise((resolve) => setTimeout(resolve, 20))
    while ((await ask(consul.dnsPort, 'half.service.consul')).answers.length !== 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
  }, 60_000)
  afterAll(async () => {
    await face?.[Symbol.asyncDispose]()
    await consul?.[Symbol.asyncDispose]()
  })

  async function put(path: string, body: object): Promise<void> {
    const url = `http://127.0.0.1:${consul.port}/v1/${path}`
    const response = await fetch(url, { method: 'PUT', body: JSON.stringify(body) })
    if (!response.ok) throw new Error(await response.text())
  }

  async function ask(port: number, name: string, type = 'A', edns = 1_232, transport = 'udp'): Promise<Said> {
    const send = transport === 'udp' ? overUdp : overTcp
    return said(await send('127.0.0.1', port, question(name, type, { edns })))
  }

  describe('answers as Consul does', () => {
    const services = [
      'web',
      'api',
      'mixed',
      'MIXED',
      'six',
      'both',
      'twice',
      'ext',
      'down',
      'ill',
      'half',
      'legacy',
      'cloud',
      'nobody',
    ]
    it.each([
      ...services.flatMap((name) => [`${name}.service.consul A`, `${name}.service.dc1.consul SRV`]),
      ...['six', 'both', 'api', 'down', 'nobody'].map((name) => `${name}.service.consul AAAA`),
      'master.web.service.consul A',
      'V2.web.service.consul SRV',
      'a.b.web.service.consul A',
      'b.web.service.consul A',
      'blue.api.service.consul A',
      'green.api.service.consul SRV',
      'red.api.service.consul A',
      '_api._tcp.service.consul SRV',
      '_api._blue.service.consul A',
      '_api._blue.consul SRV',
      '_api._red.consul SRV',
      '_nobody._tcp.service.consul SRV',
      'alias.service.consul AAAA',
      'api.service.dc2.consul A',
      'api.service.dc1.dc1.consul A',
      'api.nothing.consul A',
      'host-1.node.consul A',
      'HOST-1.node.dc1.consul A',
      'ext.rack.node.consul A',
      'ext.rack.node.consul TXT',
      'hosted.node.consul A',
      'nobody.node.consul A',
      'host-1.node.dc2.consul A',
      '0a000001.addr.consul A',
      '0a000001.addr.dc1.consul A',
      '20010db8000000000000000000000001.addr.consul AAAA',
      '0a0000zz.addr.consul A',
      'x.0a000001.addr.consul A',
      'nobody.query.consul A',
      'consul SOA',
      'consul NS',
      '1.0.0.127.in-addr.arpa PTR',
      '1.0.9.10.in-addr.arpa PTR',
      '3.0.0.10.in-addr.arpa PTR',
      `1.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa PTR`,
      'example.com A',
      'api.service.consul AXFR',
    ])('to %s', async (asked) => {
      const [name = '', type] = asked.split(' ')
      expect(facts(await ask(face.port, name, type))).toEqual(facts(await ask(consul.dnsPort, name, type)))
    })

    it('with three addresses in a datagram of unknown size, and all of them over TCP', async () => {
      for (const port of [face.port, consul.dnsPort]) {
        const { answers, truncated } = await ask(port, 'api.service.consul', 'A', 0)
        expect([answers.length, truncated]).toEqual([3, true])
        expect((await ask(port, 'api.service.consul', 'A', 0, 'tcp')).answers).toHaveLength(10)
      }
    })
  })

  describe('differs from Consul as documented', () => {
    it.each([
      ['service.consul A', 'NXDOMAIN', 'NOERROR'],
      ['consul A', 'NXDOMAIN', 'NOERROR'],
      ['0a0000.addr.consul A', 'NOERROR', 'NXDOMAIN'],
      ['api.service.consul SOA', 1, 0],
      ['api.service.consul TXT', 10, 0],
      ['0a000001.addr.consul AAAA', 1, 0],
      ['api.service.consul ANY', 10, 1],
    ])('in %s', async (asked, theirs, ours) => {
      const [name = '', type] = asked.split(' ')
      const look = ({ code, answers }: Said) => (typeof theirs === 'string' ? code : answers.length)
      expect(look(await ask(consul.dnsPort, name, type))).toBe(theirs)
      expect(look(await ask(face.port, name, type))).toBe(ours)
    })
  })
})
