import { expect, it } from 'vitest'
import { servicePath, serving } from '../test/serving.ts'

const primary = `${servicePath('api')}/claims/primary`

it('gives a name to one lease, and shows its holder', async () => {
  await using served = await serving()
  const [first, second] = [await served.register('api', 'i1'), await served.register('api', 'i2')]
  const claimed = await served.ask('PUT', primary, { token: first })
  const holder = {
    namespace: 'default',
    service: 'api',
    id: 'i1',
    name: 'primary',
    fence: claimed.json.revision,
  }
  expect(claimed).toMatchObject({ status: 200, json: { holder } })
  expect((await served.ask('PUT', primary, { token: first })).json.holder).toEqual(holder)
  expect(await served.ask('PUT', primary, { token: second })).toMatchObject({
    status: 409,
    json: { error: { code: 'claim_held', details: { holder } } },
  })
  expect((await served.ask('GET', servicePath('api'))).json.holders).toEqual([holder])
})

it('gives a name to one of twenty that race', async () => {
  await using served = await serving()
  const tokens = await Promise.all(Array.from({ length: 20 }, (_, n) => served.register('api', `i${n}`)))
  const answers = await Promise.all(tokens.map((token) => served.ask('PUT', primary, { token })))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  expect(answers.filter(({ status }) => status === 409)).toHaveLength(19)
})

it('frees a name that is released, and only for its holder', async () => {
  await using served = await serving()
  const [first, second] = [await served.register('api', 'i1'), await served.register('api', 'i2')]
  await served.ask('PUT', primary, { token: first })
  expect((await served.ask('POST', `${primary}/release`, { token: second })).json).toEqual({ revision: null })
  const released = await served.ask('POST', `${primary}/release`, { token: first })
  expect(released.json.revision).toBeGreaterThan(3)
  expect((await served.ask('GET', servicePath('api'))).json.holders).toEqual([])
  expect((await served.ask('PUT', primary, { token: second })).status).toBe(200)
})

it('frees a name when its lease ends', async () => {
  await using served = await serving()
  const token = await served.register('api', 'i1')
  await served.ask('PUT', primary, { token })
  await served.ask('POST', '/leases/release', { token })
  expect((await served.ask('GET', servicePath('api'))).json.holders).toEqual([])
  expect((await served.ask('PUT', primary, { token })).status).toBe(410)
  expect((await served.ask('POST', `${primary}/release`, { token })).json).toEqual({ revision: null })
})

it('refuses the lease of another service', async () => {
  await using served = await serving()
  const token = await served.register('www', 'i1')
  for (const [method, path] of [
    ['PUT', primary],
    ['POST', `${primary}/release`],
  ] as const)
    expect(await served.ask(method, path, { token })).toMatchObject({
      status: 400,
      json: { error: { code: 'invalid_field', field: 'token' } },
    })
})
