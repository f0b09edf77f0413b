import { http } from '@seamark/client'
import { instance, memory } from '@seamark/core'
import { asJson } from './json.js'
import { lanes } from './lanes.js'
import { seamark } from './programs.js'
import { rounds } from './rounds.js'
import { worker } from './worker.js'

/** @import { Engine } from '@seamark/core' */
/** @import { Benchmark } from './figure.js' */
/** @import { Functions as Load } from './workers/load.js' */
/** @import { Worker } from './worker.js' */

const batch = 10_000
const goals = { leases: { atLeast: 500_000 } }

/** @type {Benchmark} */
export default {
  name: 'renewals',
  title: `leases renewed, in batches of ${batch.toLocaleString('en')}`,
  goals,

  async run({ smoke, report }) {
    const milliseconds = smoke ? 200 : 2_000
    const count = smoke ? 1 : 7

    const engine = memory()
    const batches = await leased(engine, smoke ? 1 : 10)
    const inProcess = await rounds({ Seamark: () => renewed(engine, batches, milliseconds) }, count)
    report({ what: 'in process', value: inProcess.speed('Seamark'), unit: 'leases/s', goal: goals.leases })
    await engine[Symbol.asyncDispose]()

    const server = await seamark('memory:')
    const client = http(server.url)
    const bodies = (await leased(client, batches.length)).map((tokens) => ({ tokens }))
    await client[Symbol.asyncDispose]()
    /** @type {Worker<Load>} */
    const load = await worker('load')
    const requests = bodies.map((body) => request('/api/v1/leases/renew', JSON.stringify(body)))
    const settings = {
      url: server.url,
      requests,
      first: 0,
      connections: 2,
      milliseconds,
      status: '200',
      bytes: 11,
    }
    const overHttp = await rounds(
      { Seamark: async () => (await load.call('run', settings)).perSecond * batch },
      count,
    )
    for (const body of bodies) {
      const { lost } = await asJson(`${server.url}/api/v1/leases/renew`, { method: 'POST', body })
      if (lost.length > 0) throw new Error(`${lost.length} leases were lost.`)
    }
    report({ what: 'over HTTP', value: overHttp.speed('Seamark'), unit: 'leases/s', goal: goals.leases })
    await Promise.all([load.close(), server.close()])
  },
}

/**
 * The tokens of new leases, batch by batch.
 * @param {Engine} engine
 * @param {number} batches
 */
async function leased(engine, batches) {
  const leases = await lanes(batches * batch, 256, (index) =>
    engine.register(
      instance({
        namespace: 'default',
        service: `api-${index % 100}`,
        id: `i-${index}`,
        address: '10.0.0.1',
        port: 3000,
      }),
      { ttl: 600_000 },
    ),
  )
  const tokens = leases.map(({ token }) => token)
  return Array.from({ length: batches }, (_, index) => tokens.slice(index * batch, (index + 1) * batch))
}

/**
 * @param {Engine} engine
 * @param {readonly (readonly string[])[]} batches
 * @param {number} milliseconds
 */
async function renewed(engine, batches, milliseconds) {
  let count = 0
  const begun = performance.now()
  while (performance.now() - begun < milliseconds)
    for (const tokens of batches) {
      const held = await engine.renew(tokens)
      if (held.length !== tokens.length || held.includes(false)) throw new Error('A lease was lost.')
      count += held.length
    }
  return (count / (performance.now() - begun)) * 1_000
}

/**
 * @param {string} path
 * @param {string} body
 */
function request(path, body) {
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`
  return `${head}\r\n\r\n${body}`
}
