import { describe, expect, it } from 'vitest'
import { type HealthStatus, health } from './health.ts'
import { instance } from './instance.ts'
import type { Entry } from './ports.ts'
import { healthy, type Selection, select } from './selection.ts'

function entry(id: string, status: HealthStatus, more: object = {}): Entry {
  return {
    instance: instance({ namespace: 'default', service: 'api', id, address: '::1', port: 1, ...more }),
    health: health([{ id: 'c', status, output: '' }]),
    createdRevision: 1,
    modifiedRevision: 1,
  }
}

const entries = [
  entry('a', 'passing', { version: '1.4.0', zone: 'eu', tags: ['blue', 'fast'], metadata: { team: 'shop' } }),
  entry('b', 'warning', { version: '2.1.0', zone: 'us', tags: ['blue'] }),
  entry('c', 'critical', { version: '2.2.0-rc.1', zone: 'eu' }),
  entry('d', 'maintenance'),
]

describe('selecting', () => {
  it.each<[Selection, string]>([
    [{}, 'abcd'],
    [{ version: '^2.0' }, 'b'],
    [{ version: '1.4.0' }, 'a'],
    [{ version: '>=2.2.0-rc.0' }, 'c'],
    [{ version: '*' }, 'ab'],
    [{ tags: ['blue'] }, 'ab'],
    [{ tags: ['blue', 'fast'] }, 'a'],
    [{ zone: 'eu' }, 'ac'],
    [{ health: ['passing', 'critical'] }, 'ac'],
    [{ metadata: { team: 'shop' } }, 'a'],
    [{ metadata: { constructor: 'x' } }, ''],
    [{ zone: 'eu', health: ['passing'], version: '1.x' }, 'a'],
  ])('%j', (selection, ids) => {
    expect(
      select(entries, selection)
        .map(({ instance }) => instance.id)
        .join(''),
    ).toBe(ids)
  })

  it('refuses a version that is no range', () => {
    expect(() => select(entries, { version: 'newest' })).toThrow(
      expect.objectContaining({ field: 'version' }),
    )
  })

  it.each([
    ['a misspelt field', { tag: ['blue'] }, 'tag'],
    ['tags that are no list', { tags: 'blue' }, 'tags'],
  ])('refuses %s', (_, selection, field) => {
    expect(() => select(entries, selection as Selection)).toThrow(expect.objectContaining({ field }))
  })

  it('refuses a version with so many alternatives that comparing them takes long', () => {
    expect(() => select(entries, { version: Array(1_000).fill('1').join('||') })).toThrow(
      expect.objectContaining({ field: 'version' }),
    )
  })

  it('takes the passing ones; without any, those with a warning; never the others', () => {
    expect(healthy(entries)).toEqual([entries[0]])
    expect(healthy(entries.slice(1))).toEqual([entries[1]])
    expect(healthy(entries.slice(2))).toEqual([])
  })
})
