import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { opened, origin, rawClient } from '../../test/opened-gateway.ts'
import { pem, signed, signingKey } from '../../test/tokens.ts'

const key = signingKey('ES256')
const claims = (roles: readonly string[]) => ({
  sub: 'anna',
  roles,
  exp: Math.floor(Date.now() / 1_000) + 300,
})

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seamark-access-'))
  await writeFile(join(folder, 'id.pem'), pem(key))
})
afterAll(() => rm(folder, { recursive: true }))

/** A gateway with tickets for those with a role, before an instance that tells what it was told. */
async function tickets() {
  const api = await origin((request, response) => {
    response.end(JSON.stringify({ identity: request.headers['x-seamark-identity'] ?? null }))
  })
  const gateway = await opened({
    file: { access: { publicKey: { file: join(folder, 'id.pem') }, cookie: 'session' } },
  })
  await gateway.register({ port: api.port, route: { path: '/tickets', roles: ['tickets-query'] } })
  await gateway.register({ port: api.port, id: 'open', service: 'open', route: { path: '/open' } })
  return {
    port: gateway.port,
    async get(path: string, headers: Record<string, string> = {}) {
      const response = await fetch(gateway.url + path, { headers })
      const body = await response.json()
      return { status: response.status, challenge: response.headers.get('www-authenticate'), body }
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await api[Symbol.asyncDispose]()
    },
  }
}

describe('through a gateway, a route with roles', () => {
  it('is for those whose token has one, and its service is told who they are', async () => {
    await using shop = await tickets()
    const token = await signed(key, claims(['tickets-query']))
    const identity = '{"sub":"anna","roles":["tickets-query"]}'
    for (const headers of [{ authorization: `Bearer ${token}` }, { cookie: `a=b; session=${token}` }]) {
      expect(await shop.get('/tickets', headers)).toMatchObject({ status: 200, body: { identity } })
      expect(await shop.get('/open', headers)).toMatchObject({ status: 200, body: { identity } })
    }
  })

  it('turns others away, and says what to bring', async () => {
    await using shop = await tickets()
    expect(await shop.get('/tickets')).toMatchObject({
      status: 401,
      challenge: 'Bearer',
      body: { error: { code: 'unauthenticated', details: { reason: 'missing' } } },
    })
    const late = await signed(key, { ...claims(['tickets-query']), exp: 1 })
    expect(await shop.get('/tickets', { authorization: `Bearer ${late}` })).toMatchObject({
      status: 401,
      challenge: 'Bearer error="invalid_token", error_description="The token has expired."',
      body: { error: { details: { reason: 'expired' } } },
    })
    const other = await signed(key, claims(['tickets']))
    expect(await shop.get('/tickets', { authorization: `Bearer ${other}` })).toMatchObject({
      status: 403,
      challenge: 'Bearer error="insufficient_scope"',
      body: { error: { code: 'forbidden' } },
    })
  })

  it('cannot be passed, nor anybody impersonated, with a header of the gateway', async () => {
    await using shop = await tickets()
    const identity = '{"sub":"root","roles":["tickets-query"]}'
    for (const name of [
      'x-seamark-identity',
      'X-Seamark-Identity',
      'x_seamark_identity',
      'X-SEAMARK_IDENTITY',
    ]) {
      expect(await shop.get('/tickets', { [name]: identity })).toMatchObject({ status: 401 })
      expect(await shop.get('/open', { [name]: identity })).toMatchObject({
        status: 200,
        body: { identity: null },
      })
    }
  })

  it('is not for whoever brings several tokens', async () => {
    await using shop = await tickets()
    const good = await signed(key, claims(['tickets-query']))
    using client = await rawClient(shop.port)
    const lines = [
      'GET /tickets HTTP/1.1',
      'host: a',
      'authorization: Bearer x.y.z',
      `authorization: Bearer ${good}`,
    ]
    client.write(`${lines.join('\r\n')}\r\nconnection: close\r\n\r\n`)
    expect(await client.ended()).toMatch(/^HTTP\/1.1 40[01] /)
  })
})
