import { instance } from '@seamark/core'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { statements } from './statement.ts'

it('reads or leaves out what tags say, whatever it is', () => {
  const piece = fc.constantFrom(
    ...[
      'urlprefix-',
      'traefik.',
      'http.routers.',
      'a.',
      'rule=',
      'priority=',
      'enable=',
      'strip=',
      'prepend=',
    ],
    ...[
      'proto=',
      'Host(`',
      'PathPrefix(`',
      '`)',
      ' && ',
      ' || ',
      '/',
      '/a',
      '..',
      '%',
      ' ',
      'a.example',
      ':80',
      '1',
    ],
  )
  const tag = fc
    .array(piece, { minLength: 1, maxLength: 12 })
    .map((pieces) => pieces.join('').slice(0, 255))
    .filter((text) => text !== '')
  fc.assert(
    fc.property(fc.array(tag, { maxLength: 4 }), (tags) => {
      const said = instance({ namespace: 'n', service: 's', id: 'i', address: 'localhost', port: 80, tags })
      const { routes, problems } = statements(said)
      expect(statements(said).routes).toBe(routes)
      for (const { route, origin } of routes) {
        expect(Object.isFrozen(route)).toBe(true)
        expect(origin).toMatch(/^tag .* of n\/s$/s)
      }
      for (const { statement, problem } of problems) {
        expect(tags.some((one) => statement === `tag ${one}`)).toBe(true)
        expect(problem).not.toBe('')
      }
    }),
    { numRuns: 2_000 },
  )
})
