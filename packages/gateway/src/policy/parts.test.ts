import { type HealthStatus, health, instance, type Snapshot } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import { all, parts } from './parts.ts'

function snapshot(...instances: readonly (readonly [version: string, status?: HealthStatus])[]): Snapshot {
  const service = { namespace: 'default', service: 'api' }
  const entries = instances.map(([version, status = 'passing'], index) => ({
    instance: instance({ ...service, id: `${version}-${index}`, address: '::1', port: 1, version }),
    health: health([{ id: 'check', status, output: '' }]),
    createdRevision: 1,
    modifiedRevision: 1,
  }))
  return Object.freeze({ service, revision: 1, entries, holders: [] })
}

const ids = ({ entries }: Snapshot) => entries.map(({ instance }) => instance.id)

describe('parts of a service', () => {
  const { canary, rest } = parts({ version: '^2' })

  it('are the canary, and all that is not it', () => {
    const both = snapshot(['1.0.0'], ['2.1.0'], ['1.1.0'], ['2.0.0', 'critical'])
    expect(ids(canary.of(both))).toEqual(['2.1.0-1', '2.0.0-3'])
    expect(ids(rest.of(both))).toEqual(['1.0.0-0', '1.1.0-2'])
    expect(canary.of(both).service).toBe(both.service)
    expect(all.of(both)).toBe(both)
  })

  it('are the same objects for the same snapshot', () => {
    const both = snapshot(['1.0.0'], ['2.1.0'])
    expect(canary.of(both)).toBe(canary.of(both))
    expect(rest.of(both)).toBe(rest.of(both))
    expect(canary.of(snapshot(['2.1.0']))).not.toBe(canary.of(both))
  })

  it('give way to the other one when nobody in them is healthy', () => {
    const noCanary = snapshot(['1.0.0'], ['2.1.0', 'critical'])
    expect(ids(canary.of(noCanary))).toEqual(['1.0.0-0'])
    expect(canary.of(noCanary)).toBe(rest.of(noCanary))
    const onlyCanary = snapshot(['1.0.0', 'maintenance'], ['2.1.0', 'warning'])
    expect(ids(rest.of(onlyCanary))).toEqual(['2.1.0-1'])
  })

  it('are both the whole when nobody is healthy at all', () => {
    const nobody = snapshot(['1.0.0', 'critical'], ['2.1.0', 'critical'])
    expect(canary.of(nobody)).toBe(nobody)
    expect(rest.of(nobody)).toBe(nobody)
    const empty = snapshot()
    expect(ids(canary.of(empty))).toEqual([])
  })
})
