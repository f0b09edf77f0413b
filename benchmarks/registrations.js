import { join } from 'node:path'
import { instance, memory } from '@seamark/core'
import { lmdb } from '@seamark/lmdb'
import { asJson } from './json.js'
import { lanes } from './lanes.js'
import { consulAgent, seamark, withoutConsul } from './programs.js'
import { rounds } from './rounds.js'
import { worker } from './worker.js'

/** @import { Engine } from '@seamark/core' */
/** @import { Benchmark } from './figure.js' */
/** @import { Functions as Load } from './workers/load.js' */
/** @import { Worker } from './worker.js' */

const inFlight = 64
const services = Array.from({ length: 16 }, (_, index) => `api-${index}`)
const address = '10.0.0.1'
const port = 3000
const tags = ['blue', 'eu']
const metadata = { team: 'shop' }
/** Different instances registered while warming up: a multiple of the services, so that each stays in its own. */
const warming = 64
const goals = { consul: { atLeast: 10 } }

/** @type {Benchmark} */
export default {
  name: 'registrations',
  title: `one request each, durable, ${inFlight} in flight`,
  goals,

  async run({ smoke, directory, report, note }) {
    /** @type {Worker<Load>} */
    const load = await worker('load')
    /**
     * Warms up on a few instances again and again, since more of them would slow Consul down. Then each call registers
     * so many new ones, and answers how many it were in a second.
     * @param {string} url
     * @param {readonly string[]} requests
     */
    const contestant = async (url, requests) => {
      const settings = { url, requests, connections: inFlight, status: '2', bytes: 0 }
      await load.call('run', { ...settings, first: 0, count: warming })
      await load.call('run', { ...settings, first: 0, numbers: warming, milliseconds: smoke ? 100 : 4_000 })
      let first = warming
      return async (/** @type {number} */ count) => {
        const { perSecond } = await load.call('run', { ...settings, first, count })
        first += count
        return perSecond
      }
    }

    const server = await seamark(`lmdb:${join(directory, 'server')}`)
    const body = JSON.stringify({ address, port, tags, metadata })
    const ours = await contestant(
      server.url,
      services.map((name) =>
        request(`/api/v1/namespaces/default/services/${name}/instances/i-{{number}}`, body),
      ),
    )
    let registered = warming
    const counted = (/** @type {number} */ count) => {
      registered += count
      return ours(count)
    }

    const agent = await consulAgent(join(directory, 'consul'))
    if (agent === undefined) note(withoutConsul)
    else {
      const theirs = await contestant(
        agent.url,
        services.map((name) =>
          request(
            '/v1/agent/service/register',
            JSON.stringify({
              ID: 'i-{{number}}',
              Name: name,
              Address: address,
              Port: port,
              Tags: tags,
              Meta: metadata,
            }),
          ),
        ),
      )
      const contest = await rounds(
        { Seamark: () => counted(smoke ? 100 : 5_000), Consul: () => theirs(smoke ? 100 : 500) },
        smoke ? 1 : 7,
      )
      report({
        what: "over HTTP, against Consul's agent",
        ...contest.ratio('Seamark', 'Consul'),
        goal: goals.consul,
      })
      await agent.close()
    }

    const count = smoke ? 500 : 10_000
    const alone = await rounds({ Seamark: () => counted(count) }, smoke ? 1 : 5)
    report({ what: 'over HTTP, lmdb', value: alone.speed('Seamark'), unit: '/s' })
    const { instances } = await asJson(`${server.url}/api/v1/status`)
    if (instances !== registered)
      throw new Error(`${registered} instances were registered, and the server has ${instances}.`)
    await Promise.all([load.close(), server.close()])

    const engines = { lmdb: await lmdb(join(directory, 'engine')), memory: memory() }
    for (const [name, engine] of Object.entries(engines)) {
      let first = 0
      const next = () => {
        first += count
        return perSecond(engine, first, count)
      }
      const contest = await rounds({ [name]: next }, smoke ? 1 : 5)
      report({ what: `in process, ${name}`, value: contest.speed(name), unit: '/s' })
      await engine[Symbol.asyncDispose]()
    }
  },
}

/**
 * @param {string} path
 * @param {string} body
 */
function request(path, body) {
  // In both, {{number}} stands for 8 digits.
  const length = Buffer.byteLength(body.replace('{{number}}', '00000000'))
  const head = `PUT ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${length}`
  return `${head}\r\n\r\n${body}`
}

/**
 * @param {Engine} engine
 * @param {number} first
 * @param {number} count
 */
async function perSecond(engine, first, count) {
  const begun = performance.now()
  await lanes(count, inFlight, (index) => {
    const id = `i-${first + index}`
    const service = services[index % services.length] ?? ''
    return engine.register(instance({ namespace: 'default', service, id, address, port, tags, metadata }))
  })
  return (count / (performance.now() - begun)) * 1_000
}
