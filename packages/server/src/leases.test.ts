import { expect, it } from 'vitest'
import { instancePath, serving } from '../test/serving.ts'

it('renews many leases at once, and says which are lost', async () => {
  await using served = await serving()
  const tokens = await Promise.all(['a', 'b', 'c'].map((id) => served.register('api', id, { ttl: '10s' })))
  await served.ask('DELETE', instancePath('api', 'b'))
  const answer = await served.ask('POST', '/leases/renew', { tokens: ['never', ...tokens] })
  expect(answer).toMatchObject({ status: 200, json: { lost: [0, 2] } })
})

it('renews 10,000 leases at once, and no more', async () => {
  await using served = await serving()
  const token = await served.register('api', 'i1', { ttl: '10s' })
  const tokens = Array.from({ length: 10_000 }, () => token)
  expect((await served.ask('POST', '/leases/renew', { tokens })).json).toEqual({ lost: [] })
  const more = await served.ask('POST', '/leases/renew', { tokens: [...tokens, token] })
  expect(more).toMatchObject({ status: 400, json: { error: { code: 'invalid_field', field: 'tokens' } } })
})

it('takes a lease up by its token', async () => {
  await using served = await serving()
  const token = await served.register('api', 'i1', { ttl: '10s' })
  const answer = await served.ask('POST', '/leases/resume', { token })
  expect(answer.json).toEqual({
    key: { namespace: 'default', service: 'api', id: 'i1' },
    ttl: 10_000,
    revision: 1,
  })
  expect(await served.ask('POST', '/leases/resume', { token: 'never' })).toMatchObject({
    status: 410,
    json: { error: { code: 'lease_lost' } },
  })
})

it('releases a lease and removes its instance; again changes nothing', async () => {
  await using served = await serving()
  const token = await served.register('api', 'i1')
  expect((await served.ask('POST', '/leases/release', { token })).json).toEqual({ revision: 2 })
  expect((await served.ask('GET', instancePath('api', 'i1'))).status).toBe(404)
  expect((await served.ask('POST', '/leases/release', { token })).json).toEqual({ revision: null })
})
