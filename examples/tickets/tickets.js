// @ts-check
// A service that is reached with a token only that has the role it asks for. It asserts what it tells. Run it, in a clone,
// with:
//   npm run example:tickets
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@seamark/client'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { Processes, patience } from '../processes.js'

const issuer = 'https://login.example'
const audience = 'tickets-example'

// Whoever lets people in has a key, and publishes the half of it that verifies.
const { publicKey, privateKey } = await generateKeyPair('ES256')
const keys = { keys: [{ ...(await exportJWK(publicKey)), kid: 'key-1', alg: 'ES256' }] }

/** @param {readonly string[]} roles */
function token(...roles) {
  return new SignJWT({ roles })
    .setProtectedHeader({ alg: 'ES256', kid: 'key-1' })
    .setSubject('ada')
    .setIssuer(issuer)
    .setAudience(audience)
    .setExpirationTime('5 minutes')
    .sign(privateKey)
}

const folder = await mkdtemp(join(tmpdir(), 'seamark-tickets-'))
const processes = new Processes()
try {
  await writeFile(join(folder, 'keys.json'), JSON.stringify(keys))
  const file = join(folder, 'gateway.json')
  // Paths are relative to the file; at work it would be `jwks: { url: "https://login.example/.well-known/jwks.json" }`.
  await writeFile(file, JSON.stringify({ access: { jwks: { file: 'keys.json' }, issuer, audience } }))

  const registry = await processes.seamark([
    'server',
    '--engine',
    'memory:',
    '--port',
    '0',
    '--dns-port',
    'off',
  ])
  const gateway = await processes.seamark([
    'gateway',
    ...['--url', registry.url, '--port', '0', '--status-port', 'off', '--routes', file],
  ])
  processes.start(new URL('service.js', import.meta.url), { env: { SEAMARK_URL: registry.url } })
  const discovery = connect(registry.url)
  await discovery.waitFor('tickets', { timeout: patience })
  await discovery.close()
  const url = `${gateway.url}/tickets`

  console.log('Without a token:')
  assert.equal((await ask(url)).error.code, 'unauthenticated')

  console.log('With a token of another role:')
  assert.equal((await ask(url, await token('tickets-edit'))).error.code, 'forbidden')

  console.log('With a header that says who asks:')
  const forged = { 'x-seamark-identity': '{"sub":"ada","roles":["tickets-query"]}' }
  assert.equal((await ask(url, undefined, forged)).error.code, 'unauthenticated')

  console.log('With a token that has the role:')
  const { tickets, askedBy } = await ask(url, await token('tickets-query', 'tickets-edit'), forged)
  assert.equal(tickets.length, 2)
  assert.deepEqual(askedBy, { sub: 'ada', roles: ['tickets-query', 'tickets-edit'], iss: issuer })
} finally {
  await processes.end()
  await rm(folder, { recursive: true })
}

/**
 * Asks, and shows what came; again while the gateway has not heard of the service, which it does a moment after we do.
 * @param {string} url
 * @param {string} [token]
 * @param {Record<string, string>} [headers]
 */
async function ask(url, token, headers = {}) {
  const started = performance.now()
  for (;;) {
    const response = await fetch(url, {
      headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
      signal: AbortSignal.timeout(patience),
    })
    const answer = /** @type {any} */ (await response.json())
    if (answer.error?.code !== 'route_not_found') {
      console.log(`  ${response.status} ${JSON.stringify(answer)}`)
      return answer
    }
    assert(performance.now() - started < patience, `${url} has no route`)
  }
}
