import { type Entry, type HealthStatus, instance, type Selection, type Snapshot } from '@seamark/core'
import { describe, expect, test } from 'vitest'
import { absence } from './absence.ts'

function entry(
  id: string,
  status: HealthStatus,
  more: { version?: string; zone?: string; tags?: string[] },
): Entry {
  const described = instance({
    namespace: 'default',
    service: 'api',
    id,
    address: '10.0.0.1',
    port: 80,
    ...more,
  })
  return { instance: described, health: { status, checks: [] }, createdRevision: 1, modifiedRevision: 1 }
}

function snapshot(entries: readonly Entry[]): Snapshot {
  return { service: { namespace: 'default', service: 'api' }, revision: 1, entries, holders: [] }
}

const some = snapshot([
  entry('a', 'passing', { version: '1.4.0', tags: ['blue'], zone: 'eu-1' }),
  entry('b', 'critical', { version: '2.0.0', tags: ['green'], zone: 'eu-2' }),
  entry('c', 'critical', { version: '2.0.0' }),
])
const date = Date.UTC(2026, 0, 2, 3, 4, 5)

const cases: readonly [Snapshot, Selection, number | undefined, string, string][] = [
  [snapshot([]), {}, undefined, 'service_not_found', 'No instance of api is registered.'],
  [
    snapshot([]),
    { version: '^2', tags: ['blue'] },
    undefined,
    'service_not_found',
    'No instance of api is registered (looked for version ^2, tag "blue").',
  ],
  [
    some,
    { version: '^3' },
    undefined,
    'no_match',
    'No instance of api is healthy and fits version ^3. 3 instances exist: 1 passing, 2 critical; versions 1.4.0, 2.0.0.',
  ],
  [
    some,
    { tags: ['red'], zone: 'us-1', metadata: { team: 'checkout' } },
    undefined,
    'no_match',
    'No instance of api is healthy and fits tag "red", zone "us-1", metadata team "checkout". 3 instances exist: 1 passing, 2 critical; versions 1.4.0, 2.0.0; tags blue, green; zones eu-1, eu-2.',
  ],
  [
    snapshot([entry('c', 'critical', {})]),
    {},
    date - 12_000,
    'no_match',
    'No instance of api is healthy. 1 instance exists: 1 critical. This view is stale since 2026-01-02T03:03:53.000Z (12 s).',
  ],
]

describe('the error of one who finds nobody', () => {
  test.each(cases)(
    '%#: says what was looked for and what there is',
    (given, filter, staleSince, code, message) => {
      const error = absence({ snapshot: given, filter, staleSince, date })
      expect(error.message).toBe(message)
      expect(error.code).toBe(code)
    },
  )

  test('carries the same for programs', () => {
    expect(absence({ snapshot: some, filter: {}, staleSince: undefined, date }).details).toMatchObject({
      service: 'api',
      instances: 3,
      health: { passing: 1, warning: 0, critical: 2, maintenance: 0 },
      versions: ['1.4.0', '2.0.0'],
    })
  })

  test('names ten versions and counts the rest', () => {
    const many = Array.from({ length: 40 }, (_, n) => entry(`${n}`, 'critical', { version: `1.0.${n}` }))
    const { message } = absence({ snapshot: snapshot(many), filter: {}, staleSince: undefined, date })
    expect(message).toContain('and 30 more')
  })
})
