import { expect, it } from 'vitest'
import { type LeaseHost, RemoteLease } from './remote-lease.ts'

function lease(held: boolean) {
  const asked: string[] = []
  const host: LeaseHost = {
    async renew(tokens) {
      asked.push(`renew ${tokens}`)
      return tokens.map(() => held)
    },
    async release(token) {
      asked.push(`release ${token}`)
      return 2
    },
    listening: ({ token }) => asked.push(`listen ${token}`),
  }
  const key = { namespace: 'default', service: 'api', id: 'a' }
  return { asked, lease: new RemoteLease(host, { key, token: 't', ttl: 1_000, revision: 1 }) }
}

it('tells its handle only once somebody listens', async () => {
  const { asked, lease: held } = lease(true)
  await held.renew()
  expect(held.lost.aborted).toBe(false)
  expect(held.lost).toBe(held.lost)
  expect(asked).toEqual(['renew t', 'listen t'])
})

it('knows that it is lost once a renewal says so, and asks no more', async () => {
  const { asked, lease: gone } = lease(false)
  await expect(gone.renew()).rejects.toMatchObject({ code: 'lease_lost' })
  expect(gone.lost.aborted).toBe(true)
  await expect(gone.renew()).rejects.toMatchObject({ code: 'lease_lost' })
  await gone[Symbol.asyncDispose]()
  expect(asked).toEqual(['renew t'])
})

it('is released once', async () => {
  const { asked, lease: held } = lease(true)
  await held[Symbol.asyncDispose]()
  await held[Symbol.asyncDispose]()
  expect(held.lost.aborted).toBe(true)
  expect(asked).toEqual(['release t'])
})
