// @ts-check
// Two apps as in AWS Copilot's tutorial, without AWS: the public app1 calls the internal app2 by its discovery name, and
// whoever asks the gateway gets app2's answer inside app1's. It asserts what it tells. Run it, in a clone, with:
//   npm run example:copilot
import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { connect } from '@seamark/client'
import { Processes, patience } from '../processes.js'

/** What Copilot's own variables say in each container. */
const copilot = {
  COPILOT_APPLICATION_NAME: 'shop',
  COPILOT_ENVIRONMENT_NAME: 'test',
  COPILOT_SERVICE_DISCOVERY_ENDPOINT: 'test.shop.local',
}

const processes = new Processes()
try {
  const registry = await processes.seamark([
    'server',
    ...['--engine', 'memory:', '--port', '0', '--dns-port', '0', '--namespace-domain', 'local'],
  ])
  const gateway = await processes.seamark([
    'gateway',
    ...['--url', registry.url, '--port', '0', '--status-port', 'off'],
  ])
  const env = { ...copilot, SEAMARK_URL: registry.url }
  for (const name of ['app1', 'app2'])
    processes.start(new URL(`${name}.js`, import.meta.url), { env: { ...env, COPILOT_SERVICE_NAME: name } })

  const discovery = connect(registry.url, { namespace: 'test.shop' })
  for (const name of ['app1', 'app2']) {
    const { id, origin } = await discovery.waitFor(name, { timeout: patience })
    console.log(`${id} is at ${origin}`)
  }
  await discovery.close()

  console.log(`$ curl ${gateway.url}/app1`)
  const answer = await get(`${gateway.url}/app1`, 200)
  console.log(answer)
  assert.equal(answer, 'app1 asked app2, and it says: hello from app2, which you called app2.test.shop.local')

  console.log(`$ curl ${gateway.url}/app2`)
  const refusal = await get(`${gateway.url}/app2`, 404)
  console.log(refusal)
  assert.equal(JSON.parse(refusal).error.code, 'route_not_found', 'app2 is internal')

  // Who has no client of ours asks DNS, as apps on Copilot do.
  console.log(`$ dig @${registry.dns.address} -p ${registry.dns.port} app2.test.shop.local`)
  const resolver = new Resolver()
  resolver.setServers([`${registry.dns.address}:${registry.dns.port}`])
  const addresses = await resolver.resolve4('app2.test.shop.local')
  console.log(addresses.join('\n'))
  assert.deepEqual(addresses, ['127.0.0.1'])
} finally {
  await processes.end()
}

/**
 * Asks until the answer has that status: the gateway hears of a new service a moment after we do.
 * @param {string} url
 * @param {number} status
 */
async function get(url, status) {
  const started = performance.now()
  for (;;) {
    const response = await fetch(url, { signal: AbortSignal.timeout(patience) })
    const text = await response.text()
    if (response.status === status) return text
    assert(performance.now() - started < patience, `${url} answers ${response.status}: ${text}`)
  }
}
