import { instance } from '@seamark/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { traefikRule } from './traefik-rule.ts'
import { traefikRouters } from './traefik-tags.ts'

describe('a rule of Traefik', () => {
  it.each([
    ['Host(`shop.example`)', [{ host: 'shop.example' }]],
    ['Host(`Shop.example`, `www.example`)', [{ host: 'shop.example' }, { host: 'www.example' }]],
    ['PathPrefix(`/a/`)', [{ path: '/a' }]],
    ['pathprefix("/a")', [{ path: '/a' }]],
    ['Host(`a.b`) && PathPrefix(`/x`)', [{ host: 'a.b', path: '/x' }]],
    [
      'PathPrefix(`/x`)&&Host(`a.b`)&&Method(`GET`,`HEAD`)',
      [{ host: 'a.b', path: '/x', methods: ['GET', 'HEAD'] }],
    ],
    [
      'Host(`a`) && (PathPrefix(`/x`) || PathPrefix(`/y`))',
      [
        { host: 'a', path: '/x' },
        { host: 'a', path: '/y' },
      ],
    ],
    ['Host(`a`) || Host(`b`) && PathPrefix(`/y`)', [{ host: 'a' }, { host: 'b', path: '/y' }]],
    ['PathPrefix(`/a`) && PathPrefix(`/a/b`)', [{ path: '/a/b' }]],
    ['PathPrefix(`/`) && PathPrefix(`/b`)', [{ path: '/b' }]],
    ['(Host(`a`) || Host(`b`)) && Host(`b`)', [{ host: 'b' }]],
    ['((Host(`a`)))', [{ host: 'a' }]],
  ])('%s is read', (rule, clauses) => {
    expect(traefikRule(rule)).toEqual(clauses)
  })

  it.each([
    ['', 'a matcher, such as PathPrefix, is missing at its end'],
    ['Host(`a`) &&', 'is missing at its end'],
    ['Host(`a`) Host(`b`)', '"Host" is not expected there'],
    ['Host()', 'Host needs a value in backticks before ")"'],
    ['Host(``)', 'Host needs a value'],
    ['Host(`a`', '")" is missing at its end'],
    ['(Host(`a`)', '")" is missing'],
    ["Host('a')", 'cannot be read'],
    ['HostRegexp(`a.*`)', 'HostRegexp is not read here'],
    ['Path(`/a`)', 'Path is not read here'],
    ['Headers(`a`, `b`)', 'Headers is not read here'],
    ['constructor(`a`)', 'constructor is not read here'],
    ['!Host(`a`)', '"!" is not read here'],
    ['Host(`*.a`)', '"*" is not read here'],
    ['Host(`a`) && Host(`b`)', 'no request can fit it'],
    ['PathPrefix(`/a`) && PathPrefix(`/ab`)', 'no request can fit it'],
    ['Method(`GET`) && Method(`PUT`)', 'no request can fit it'],
    [
      `${Array.from({ length: 6 }, () => '(Host(`a`) || PathPrefix(`/a`))').join(' && ')}`,
      'more than 32 routes',
    ],
  ])('%j is refused, as %s', (rule, problem) => {
    expect(() => traefikRule(rule)).toThrow(problem)
  })

  it('is read or refused, whatever it is', () => {
    const piece = fc.constantFrom(
      'Host',
      'PathPrefix',
      '(',
      ')',
      '`a`',
      '`/a`',
      ',',
      '&&',
      '||',
      '!',
      ' ',
      '"',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((pieces) => pieces.join('')),
        ),
        (rule) => {
          try {
            expect(traefikRule(rule).length).toBeGreaterThan(0)
          } catch (error) {
            expect(error).toBeInstanceOf(Error)
          }
        },
      ),
      { numRuns: 2_000 },
    )
  })
})

function read(...tags: string[]) {
  const port = 8080
  const read = instance({ namespace: 'default', service: 'web', id: 'w1', address: '127.0.0.1', port, tags })
  return traefikRouters(read).map(({ routes }) => (routes instanceof Error ? routes.message : routes))
}

describe('tags of Traefik', () => {
  it('are routes, router by router', () => {
    expect(
      read(
        'traefik.enable=true',
        'traefik.http.routers.a.rule=Host(`a.example`) && PathPrefix(`/x`)',
        'traefik.http.routers.a.entrypoints=web,websecure',
        'traefik.http.routers.a.tls=true',
        'traefik.http.routers.b.rule=PathPrefix(`/b`) || PathPrefix(`/c`)',
        'traefik.http.services.web.loadbalancer.server.port=8080',
        'blue',
      ),
    ).toEqual([[{ host: 'a.example', path: '/x' }], [{ path: '/b' }, { path: '/c' }]])
  })

  it('are none when they are turned off, and none without a rule', () => {
    expect(read('traefik.http.routers.a.rule=PathPrefix(`/x`)', 'traefik.enable=false')).toEqual([])
    expect(read('traefik.enable=true', 'traefik.http.routers.a.entrypoints=web')).toEqual([])
  })

  it('lift or lower a rule as far as they would in Traefik', () => {
    const rule = 'PathPrefix(`/`)'
    const priority = (value: string) =>
      read(`traefik.http.routers.a.rule=${rule}`, `traefik.http.routers.a.priority=${value}`)[0]
    expect(priority('1')).toEqual([{ path: '/', priority: 1 - rule.length }])
    expect(priority('100')).toEqual([{ path: '/', priority: 100 - rule.length }])
    expect(priority('0')).toEqual([{ path: '/' }])
    expect(priority('99999999999')).toEqual([{ path: '/', priority: 1_000 }])
    expect(priority('high')).toMatch('its priority "high" is no number')
  })

  it.each([
    ['middlewares=auth', 'does not know its option "middlewares"'],
    ['service=other', 'does not know its option "service"'],
    ['entrypoints=internal', 'does not know its option "entrypoints" with "internal"'],
    ['tls.options=mutual', 'does not know its option "tls.options"'],
  ])('are no route with %s', (option, problem) => {
    expect(read('traefik.http.routers.a.rule=PathPrefix(`/x`)', `traefik.http.routers.a.${option}`)).toEqual([
      expect.stringContaining(problem),
    ])
  })

  it('are no route when they lead to another port or scheme', () => {
    for (const option of ['port=9090', 'scheme=h2c'])
      expect(
        read(
          'traefik.http.routers.a.rule=PathPrefix(`/x`)',
          `traefik.http.services.web.loadbalancer.server.${option}`,
        ),
      ).toEqual([expect.stringContaining('leads elsewhere')])
  })

  it('spoil no other router', () => {
    expect(
      read(
        'traefik.http.routers.a.rule=Path(`/x`)',
        'traefik.http.routers.b.rule=PathPrefix(`relative`)',
        'traefik.http.routers.c.rule=PathPrefix(`/c`)',
      ),
    ).toEqual([
      expect.stringContaining('Path is not read here'),
      expect.stringContaining('route/path must be a path'),
      [{ path: '/c' }],
    ])
  })
})
