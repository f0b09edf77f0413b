import { instance } from '@seamark/core'
import { expect, it } from 'vitest'
import { asking } from '../../test/asking.ts'

const db = { namespace: 'default', service: 'db' }

it('tells the DNS face of nodes and places, and when that changes', async () => {
  await using asked = await asking()
  const { consul, catalog } = asked.server
  expect(consul.datacenter).toBe('dc1')
  expect(consul.node('N1')).toMatchObject({ name: 'n1', address: '127.0.0.1' })
  expect(consul.node('rock')).toBeUndefined()
  const before = [consul.revision(), consul.revision(db)]

  const Service = { Service: 'db', Port: 1, Weights: { Passing: 3, Warning: 2 } }
  await asked.ask('PUT', '/catalog/register', {
    Node: 'Rock',
    Address: '10.9.0.1',
    NodeMeta: { a: 'b' },
    Service,
  })
  const rock = { name: 'Rock', address: '10.9.0.1', metadata: { a: 'b' } }
  expect(consul.node('rock')).toEqual(rock)
  expect(consul.nodesAt('10.9.0.1')).toEqual([rock])
  const [entry] = catalog.snapshot(db).entries
  expect(consul.place(entry!)).toEqual({ node: rock, atNode: true, warningWeight: 2 })
  const after = [consul.revision(), consul.revision(db)]
  expect(after[0]).not.toBe(before[0])
  expect(after[1]).not.toBe(before[1])

  await asked.ask('PUT', '/catalog/deregister', { Node: 'Rock' })
  expect(consul.nodesAt('10.9.0.1')).toEqual([])
})

it('knows no node of what was registered without one', async () => {
  await using asked = await asking()
  await using _lease = await asked.engine.register(
    instance({ ...db, id: 'db-1', address: '10.0.0.1', port: 1 }),
  )
  const { catalog, consul } = asked.server
  await catalog.reached(_lease.revision)
  expect(consul.place(catalog.snapshot(db).entries[0]!)).toEqual({})
})
