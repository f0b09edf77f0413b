import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { engineTests } from '../servers/engine-tests.ts'
import { type Agent, agentTests, node, put, register } from './agent.ts'
import { type DigAnswer, dig } from './dig-answer.ts'

// Consul's negative answers may be kept for 0 s, ours for 1.
const soa = [
  expect.stringMatching(/^consul\. [01] SOA ns\.consul\. hostmaster\.consul\. \d+ 3600 600 86400 [01]$/),
]

const nothing = { answer: [], authority: [], additional: [] }

/** What dig asks in its words, and what it is to understand; records in any order. */
const questions: readonly (readonly [words: string, expected: Partial<DigAnswer>])[] = [
  // Passing and warning, not critical.
  [
    'web.service.consul A',
    {
      status: 'NOERROR',
      flags: ['qr', 'aa', 'rd'],
      answer: ['web.service.consul. 0 A 127.0.0.2', 'web.service.consul. 0 A 127.0.0.3'],
      authority: [],
      additional: [],
    },
  ],
  ['web.service.dc1.consul A', { answer: [1, 2].map((n) => `web.service.dc1.consul. 0 A 127.0.0.${n + 1}`) }],
  ['v2.web.service.consul A', { answer: ['v2.web.service.consul. 0 A 127.0.0.3'] }],
  ['v9.web.service.consul A', { ...nothing, status: 'NXDOMAIN', authority: soa }],
  [
    'web.service.consul SRV',
    {
      answer: [
        'web.service.consul. 0 SRV 1 1 8082 7f000002.addr.dc1.consul.',
        'web.service.consul. 0 SRV 1 1 8083 7f000003.addr.dc1.consul.',
      ],
      additional: expect.arrayContaining([
        '7f000002.addr.dc1.consul. 0 A 127.0.0.2',
        '7f000003.addr.dc1.consul. 0 A 127.0.0.3',
      ]),
    },
  ],
  [
    '_web._v1.service.consul SRV',
    { answer: ['_web._v1.service.consul. 0 SRV 1 1 8082 7f000002.addr.dc1.consul.'] },
  ],
  [
    '_web._tcp.service.consul SRV',
    { answer: [expect.stringContaining(' 8082 '), expect.stringContaining(' 8083 ')] },
  ],
  ['7f000002.addr.dc1.consul A', { answer: ['7f000002.addr.dc1.consul. 0 A 127.0.0.2'] }],
  // Without an address of its own it is where its node is.
  [
    'plain.service.consul SRV',
    {
      answer: [`plain.service.consul. 0 SRV 1 1 80 ${node}.node.dc1.consul.`],
      additional: expect.arrayContaining([`${node}.node.dc1.consul. 0 A 127.0.0.1`]),
    },
  ],
  ['plain.service.consul A', { answer: ['plain.service.consul. 0 A 127.0.0.1'] }],
  // The case of the question comes back (0x20), and does not matter.
  [
    'WeB.sErViCe.CoNsUl A',
    {
      question: 'WeB.sErViCe.CoNsUl.',
      answer: [1, 2].map((n) => `WeB.sErViCe.CoNsUl. 0 A 127.0.0.${n + 1}`),
    },
  ],
  // There, but of another kind; not there; all critical.
  ['web.service.consul AAAA', { ...nothing, status: 'NOERROR', authority: soa }],
  ['nobody.service.consul A', { ...nothing, status: 'NXDOMAIN', authority: soa }],
  ['sunk.service.consul A', { ...nothing, status: 'NXDOMAIN', authority: soa }],
  ['web.service.dc9.consul A', { ...nothing, status: 'NXDOMAIN', authority: soa }],
  ['six.service.consul AAAA', { answer: ['six.service.consul. 0 AAAA 2001:db8::6'] }],
  [
    'six.service.consul SRV',
    {
      answer: ['six.service.consul. 0 SRV 1 1 6 20010db8000000000000000000000006.addr.dc1.consul.'],
      additional: expect.arrayContaining([
        '20010db8000000000000000000000006.addr.dc1.consul. 0 AAAA 2001:db8::6',
      ]),
    },
  ],
  ['named.service.consul A', { answer: ['named.service.consul. 0 CNAME port.example.'] }],
  [`${node}.node.consul A`, { answer: [`${node}.node.consul. 0 A 127.0.0.1`] }],
  ['buoy.node.consul A', { answer: ['buoy.node.consul. 0 A 192.0.2.7'] }],
  ['buoy.node.consul TXT', { answer: ['buoy.node.consul. 0 TXT "sea=north"'] }],
  ['nobody.node.consul A', { ...nothing, status: 'NXDOMAIN', authority: soa }],
  ['-x 192.0.2.7', { answer: ['7.2.0.192.in-addr.arpa. 0 PTR buoy.node.dc1.consul.'] }],
  ['berth.query.consul A', { answer: ['berth.query.consul. 10 A 127.0.0.2'] }],
  ['consul SOA', { status: 'NOERROR', answer: soa }],
  ['consul NS', { answer: [`consul. 0 NS ${node}.node.dc1.consul.`] }],
  ['consul.service.consul A', { answer: ['consul.service.consul. 0 A 127.0.0.1'] }],
  [
    'consul.service.consul SRV',
    {
      answer: [
        expect.stringMatching(/^consul\.service\.consul\. 0 SRV 1 1 \d+ harbour\.node\.dc1\.consul\.$/),
      ],
    },
  ],
  ['blue.consul.service.consul A', { ...nothing, status: 'NXDOMAIN', authority: soa }],
  ['example.org A', { ...nothing, status: 'REFUSED' }],
]

/** Datagrams of any size, a connection, datagrams as they were in 1987. */
const ways = ['+edns=0', '+tcp', '+noedns']

engineTests('dig', () =>
  agentTests((start) => {
    let agent: Agent
    beforeAll(async () => {
      agent = await start()
      const check = (Status: string) => ({ TTL: '60s', Status })
      const service = (Name: string, ID: string, fields: object) => register(agent, { Name, ID, ...fields })
      await service('web', 'one', { Address: '127.0.0.2', Port: 8082, Tags: ['v1'], Check: check('passing') })
      await service('web', 'two', { Address: '127.0.0.3', Port: 8083, Tags: ['v2'], Check: check('warning') })
      await service('web', 'out', {
        Address: '127.0.0.4',
        Port: 8084,
        Tags: ['v2'],
        Check: check('critical'),
      })
      await service('sunk', 'sunk', { Address: '127.0.0.5', Port: 1, Check: check('critical') })
      await service('plain', 'plain', { Port: 80 })
      await service('six', 'six', { Address: '2001:db8::6', Port: 6 })
      await service('named', 'named', { Address: 'port.example', Port: 7 })
      for (let n = 1; n <= 40; n++) await service('fleet', `ship-${n}`, { Address: `10.0.0.${n}`, Port: n })
      await put(`${agent.url}/v1/catalog/register`, {
        Node: 'buoy',
        Address: '192.0.2.7',
        NodeMeta: { 'rfc1035-sea': 'sea=north' },
      })
      await fetch(`${agent.url}/v1/query`, {
        method: 'POST',
        body: JSON.stringify({
          Name: 'berth',
          Service: { Service: 'web', OnlyPassing: true },
          DNS: { TTL: '10s' },
        }),
      })
    })
    afterAll(() => agent?.[Symbol.asyncDispose]())

    describe.each(ways)('dig %s', (words) => {
      it.each(questions)('asks %s', async (question, expected) => {
        const found = await dig(agent.dnsPort, ...question.split(' '), words)
        const sorted = { ...found, answer: found.answer.toSorted() }
        expect(sorted).toMatchObject({ status: 'NOERROR', warnings: [], ...expected })
      })
    })

    describe('dig', () => {
      it('is told that an answer was cut, and asks again over TCP', async () => {
        const cut = await dig(agent.dnsPort, 'fleet.service.consul', 'SRV', '+noedns', '+ignore')
        expect(cut.flags).toContain('tc')
        expect(cut.size).toBeLessThanOrEqual(512)
        expect(cut.answer.length).toBeGreaterThan(0)
        const whole = await dig(agent.dnsPort, 'fleet.service.consul', 'SRV', '+noedns')
        expect(whole.flags).not.toContain('tc')
        expect(whole.answer).toHaveLength(40)
      })

      it('gets as much as it has room for', async () => {
        const small = await dig(agent.dnsPort, 'fleet.service.consul', 'SRV', '+bufsize=1232', '+ignore')
        expect(small.flags).toContain('tc')
        expect(small.size).toBeLessThanOrEqual(1_232)
        const big = await dig(agent.dnsPort, 'fleet.service.consul', 'A', '+bufsize=4096', '+ignore')
        expect(big.flags).not.toContain('tc')
        expect(big.answer).toHaveLength(40)
      })
    })
  }),
)
