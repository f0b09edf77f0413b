import { displayName, limits, type Route, type RouteInput, route, type ServiceKey } from '@seamark/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Rule } from '../ports.ts'
import { type Candidate, routeTable } from './route-table.ts'
import { ruleName } from './rule.ts'

function rule(service: string, input: RouteInput): Rule {
  const key: ServiceKey = { namespace: 'default', service }
  const said = route('route', input)
  return {
    name: ruleName(key, said),
    route: said,
    service: key,
    filter: undefined,
    policy: {},
    origin: `instances of ${service}`,
  }
}

function candidate(
  service: string,
  input: RouteInput,
  { source = 'registry', age = 1 }: Partial<Candidate> = {},
): Candidate {
  return { rule: rule(service, input), source, age }
}

/** Which service a request is for, or the methods that would do. */
function asked(candidates: readonly Candidate[], method: string, host: string, path: string) {
  const found = routeTable(candidates).match(method, host, path)
  return 'service' in found ? found.service.service : found.allow
}

describe('the route table', () => {
  it('matches whole segments of a path', () => {
    const table = [candidate('tickets', { path: '/tickets' })]
    for (const path of ['/tickets', '/tickets/', '/tickets/7', '/tickets/7/8', '/%74ickets/7'])
      expect(asked(table, 'GET', '', path)).toBe('tickets')
    for (const path of ['/ticketshop', '/ticket', '/', '/a/tickets', '*', '', '/Tickets'])
      expect(asked(table, 'GET', '', path)).toBeUndefined()
  })

  it('takes the rule of the longest path', () => {
    const table = ['/', '/a', '/a/b/c', '/a/b'].map((path) => candidate(path, { path }))
    expect(asked(table, 'GET', '', '/a/b/c/d')).toBe('/a/b/c')
    expect(asked(table, 'GET', '', '/a/b/x')).toBe('/a/b')
    expect(asked(table, 'GET', '', '/a/x')).toBe('/a')
    expect(asked(table, 'GET', '', '/x')).toBe('/')
  })

  it('takes the exact host before a wildcard, the longest wildcard before another, and any host last', () => {
    const table = [
      candidate('any', { path: '/a/b' }),
      candidate('example', { host: '*.example' }),
      candidate('shops', { host: '*.shop.example' }),
      candidate('shop', { host: 'shop.example' }),
    ]
    expect(asked(table, 'GET', 'shop.example', '/a/b')).toBe('shop')
    expect(asked(table, 'GET', 'shop.example.', '/')).toBe('shop')
    expect(asked(table, 'GET', 'eu.shop.example', '/a/b')).toBe('shops')
    expect(asked(table, 'GET', 'a.eu.shop.example', '/')).toBe('shops')
    expect(asked(table, 'GET', 'www.example', '/')).toBe('example')
    expect(asked(table, 'GET', 'example', '/a/b')).toBe('any')
    expect(asked(table, 'GET', '', '/a/b')).toBe('any')
    expect(asked(table, 'GET', 'example', '/')).toBeUndefined()
  })

  it('knows an IPv6 address as requests write it', () => {
    expect(asked([candidate('six', { host: '::1' })], 'GET', '[::1]', '/')).toBe('six')
  })

  it('takes a higher priority before any host and path', () => {
    const table = [
      candidate('exact', { host: 'shop.example', path: '/a' }),
      candidate('raised', { path: '/', priority: 1 }),
      candidate('lowered', { host: 'shop.example', path: '/a/b', priority: -1 }),
    ]
    expect(asked(table, 'GET', 'shop.example', '/a/b')).toBe('raised')
    expect(asked(table.slice(0, 1).concat(table.slice(2)), 'GET', 'shop.example', '/a/b')).toBe('exact')
  })

  it('goes on to the next rule when the method does not fit, and names the methods when none is left', () => {
    const read = candidate('read', { path: '/a', methods: ['GET', 'HEAD'] })
    const write = candidate('write', { path: '/a', methods: ['POST'] })
    const all = candidate('all', { path: '/' })
    expect(asked([read, write, all], 'POST', '', '/a')).toBe('write')
    expect(asked([read, write, all], 'PUT', '', '/a')).toBe('all')
    expect(asked([read, write], 'PUT', '', '/a')).toEqual(['GET', 'HEAD', 'POST'])
    expect(asked([read, write], 'PUT', '', '/b')).toBeUndefined()
  })

  it('takes a rule that names methods before one that does not, and a file before the registry', () => {
    const any = candidate('any', { path: '/a' }, { source: 'file' })
    const posted = candidate('posted', { path: '/a', methods: ['POST', 'PUT'] })
    const filed = candidate('filed', { path: '/a', methods: ['PUT'] }, { source: 'file', age: 9 })
    expect(asked([any, posted, filed], 'POST', '', '/a')).toBe('posted')
    expect(asked([any, posted, filed], 'PUT', '', '/a')).toBe('filed')
    expect(asked([any, posted, filed], 'GET', '', '/a')).toBe('any')
  })

  it('leaves a path to who had it first, and reports who came later', () => {
    const first = candidate('first', { path: '/a', methods: ['GET', 'PUT'] }, { age: 5 })
    const later = candidate('later', { path: '/a', methods: ['PUT', 'GET'] }, { age: 6 })
    const latest = candidate('latest', { path: '/%61', methods: ['PUT', 'GET'] }, { age: 7 })
    const other = candidate('other', { path: '/a', methods: ['PUT', 'GET'], priority: 1 }, { age: 8 })
    const table = routeTable([latest, later, other, first])
    expect(table.rules.map(({ service }) => service.service)).toEqual(['other', 'first'])
    expect(table.conflicts).toEqual([
      { rule: later.rule, winner: first.rule },
      { rule: latest.rule, winner: first.rule },
    ])
  })

  it('settles conflicts the same way in whatever order it hears of rules', () => {
    const one = candidate('one', { path: '/a' })
    const two = candidate('two', { path: '/a' })
    const three = candidate('one', { path: '/a', rewrite: '/' })
    const orders = [
      [one, two, three],
      [three, two, one],
      [two, three, one],
    ].map((order) => routeTable(order))
    for (const table of orders) {
      expect(table.rules).toEqual([one.rule])
      expect(table.conflicts.map(({ rule }) => rule)).toEqual([three.rule, two.rule])
    }
  })

  it('lists its rules in the order in which they are looked at', () => {
    const names = (candidates: readonly Candidate[]) => routeTable(candidates).rules.map(({ name }) => name)
    const table = [
      candidate('a', { path: '/' }),
      candidate('b', { path: '/a/b' }),
      candidate('c', { path: '/longer' }),
      candidate('d', { host: '*.example' }),
      candidate('e', { host: 'www.example', path: '/x' }),
      candidate('f', { host: '*.shop.example' }),
      candidate('g', { path: '/a/b', methods: ['PUT', 'GET'] }),
      candidate('h', { path: '/z', priority: 3 }),
    ]
    const order = [
      'h/z priority=3',
      'e@www.example/x',
      'f@*.shop.example/',
      'd@*.example/',
      'GET,PUT g/a/b',
      'b/a/b',
      'c/longer',
      'a/',
    ]
    expect(names(table)).toEqual(order)
    expect(names([...table].reverse())).toEqual(order)
  })

  it('gives a path that can be read in two ways to no one but whom it is for in both', () => {
    const table = [
      candidate('site', { path: '/' }),
      candidate('admin', { path: '/admin' }),
      candidate('projects', { path: '/projects' }),
    ]
    for (const path of ['/%2fadmin', '//admin/x', '/admin%2fusers', '/admin;x/users', '/;/admin'])
      expect(asked(table, 'GET', '', path)).toBeUndefined()
    for (const path of ['/projects/group%2Fname', '/projects//7', '/projects/7;v=1'])
      expect(asked(table, 'GET', '', path)).toBe('projects')
    expect(asked(table, 'GET', '', '//x')).toBe('site')
  })

  it('is not slowed down by a host or a path of thousands of parts', () => {
    const table = [candidate('a', { host: '*.b.example', path: '/a/b' }), candidate('b', { path: '/b' })]
    expect(asked(table, 'GET', 'a.'.repeat(limits.addressBytes), '/')).toBeUndefined()
    const deep = '/b'.repeat(8_000)
    for (let time = 0; time < 1_000; time++) expect(asked(table, 'GET', '', deep)).toBe('b')
  })

  it('finds among 10,000 rules what one by one would find', () => {
    const table = routeTable(
      Array.from({ length: 10_000 }, (_, index) =>
        candidate(`s${index}`, { host: `h${index % 100}.example`, path: `/a/p${index}` }),
      ),
    )
    const found = table.match('GET', 'h77.example', '/a/p8877/x')
    expect(found).toMatchObject({ service: { service: 's8877' } })
    expect(table.match('GET', 'h78.example', '/a/p8877/x')).toEqual({ allow: undefined })
  })
})

describe('the route table, against one that tries every rule', () => {
  const label = fc.constantFrom('a', 'b', 'example')
  const host = fc
    .array(label, { minLength: 1, maxLength: 3 })
    .chain((labels) => fc.constantFrom(labels.join('.'), `*.${labels.join('.')}`))
  const path = fc
    .array(fc.constantFrom('a', 'b', '%61', 'a%2fb'), { maxLength: 3 })
    .map((parts) => `/${parts.join('/')}`)
  const method = fc.constantFrom('GET', 'PUT', 'POST')
  const input = fc.record(
    {
      host,
      path,
      methods: fc.uniqueArray(method, { minLength: 1 }),
      priority: fc.integer({ min: -1, max: 1 }),
    },
    { requiredKeys: ['path'] },
  )
  const candidates = fc.array(
    fc.record({
      input,
      source: fc.constantFrom('file' as const, 'registry' as const),
      age: fc.nat({ max: 3 }),
    }),
    { maxLength: 12 },
  )
  const request = fc.record({
    method,
    host: fc.array(label, { maxLength: 4 }).map((labels) => labels.join('.')),
    path: fc
      .array(fc.constantFrom('a', 'b', '%62', 'A', 'ab', ''), { maxLength: 4 })
      .map((parts) => `/${parts.join('/')}`)
      .filter((text) => !text.includes('//')),
  })

  it('finds the same', () => {
    fc.assert(
      fc.property(candidates, fc.array(request, { minLength: 1, maxLength: 8 }), (described, requests) => {
        const all = described.map(({ input, ...rank }, index) => candidate(`s${index}`, input, rank))
        const table = routeTable(all)
        for (const { method, host, path } of requests)
          expect(table.match(method, host, path)).toEqual(naive(all, method, host, path))
      }),
      { numRuns: 2_000 },
    )
  })

  it('has each rule once: in force, or lost to another of the same requests', () => {
    fc.assert(
      fc.property(candidates, (described) => {
        const all = described.map(({ input, ...rank }, index) => candidate(`s${index}`, input, rank))
        const { rules, conflicts } = routeTable(all)
        expect(new Set([...rules, ...conflicts.map(({ rule }) => rule)])).toEqual(
          new Set(all.map(({ rule }) => rule)),
        )
        for (const { winner } of conflicts) expect(rules).toContain(winner)
      }),
    )
  })
})

/** The rule of precedence as it is told, tried on every rule. */
function naive(all: readonly Candidate[], method: string, host: string, path: string) {
  const segments = parts(path)
  const fit = all.filter(({ rule: { route } }) => {
    const prefix = route.path === '/' ? [] : parts(route.path)
    return hostFits(route, host) && prefix.every((part, index) => part === segments[index])
  })
  const [found] = fit
    .filter(({ rule: { route } }) => route.methods?.includes(method) ?? true)
    .sort((a, b) => {
      for (const rank of ranks) {
        const [x, y] = [rank(a), rank(b)]
        if (x !== y) return x < y ? -1 : 1
      }
      return 0
    })
  if (found !== undefined) return found.rule
  if (fit.length === 0) return { allow: undefined }
  return { allow: [...new Set(fit.flatMap(({ rule }) => rule.route.methods ?? []))].sort() }
}

function parts(path: string): string[] {
  return decodeURIComponent(path.replaceAll('%2f', '%252F')).slice(1).split('/')
}

function hostFits({ host: wanted }: Route, host: string): boolean {
  if (wanted === undefined) return true
  return wanted.startsWith('*.') ? host.endsWith(wanted.slice(1)) : host === wanted
}

/** Lower ones first. */
const ranks: readonly ((candidate: Candidate) => number | string)[] = [
  ({ rule }) => -(rule.route.priority ?? 0),
  ({ rule: { route } }) => (route.host === undefined ? 2 : route.host.startsWith('*.') ? 1 : 0),
  ({ rule: { route } }) => -(route.host ?? '').length,
  ({ rule: { route } }) => (route.path === '/' ? 0 : -parts(route.path).length),
  ({ rule: { route } }) => (route.methods === undefined ? 1 : 0),
  ({ source }) => (source === 'file' ? 0 : 1),
  ({ age }) => age,
  ({ rule }) => displayName(rule.service),
]
