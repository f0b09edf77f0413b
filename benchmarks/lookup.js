import { asJson } from './json.js'
import { consulAgent, seamark, withoutConsul } from './programs.js'
import { rounds } from './rounds.js'
import { worker } from './worker.js'

/** @import { Benchmark } from './figure.js' */
/** @import { Functions as BareHttp } from './workers/bare-http.js' */
/** @import { Functions as Load } from './workers/load.js' */
/** @import { Worker } from './worker.js' */

const instances = Array.from({ length: 10 }, (_, index) => ({
  ID: `api-${index}`,
  Name: 'api',
  Address: `10.0.0.${index + 1}`,
  Port: 3000 + index,
  Tags: ['blue', 'eu'],
  Meta: { team: 'shop', commit: '4f2a9c1' },
}))
const consulPath = '/v1/health/service/api?passing'
/** The ways to ask a Seamark server, and what holds the instances in an answer. */
const faces = [
  {
    name: 'native',
    path: '/api/v1/namespaces/default/services/api?health=passing',
    found: (/** @type {any} */ { instances }) => instances,
  },
  { name: "Consul's API", path: consulPath, found: (/** @type {any} */ entries) => entries },
]
const goals = { bare: { atLeast: 0.7 }, consul: { atLeast: 10 } }

/** @type {Benchmark} */
export default {
  name: 'lookup',
  title: 'one service with 10 instances, over HTTP',
  goals,

  async run({ smoke, directory, report, note }) {
    const server = await seamark('memory:')
    await registered(server.url)
    const agent = await consulAgent(directory)
    if (agent !== undefined) await registered(agent.url)

    /** @type {Worker<Load>} */
    const load = await worker('load')
    /**
     * @param {string} url
     * @param {Answer} answer
     */
    const contestant =
      (url, { body }) =>
      async () => {
        const { host, pathname, search } = new URL(url)
        const { perSecond, busy } = await load.call('run', {
          url,
          requests: [`GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
          first: 0,
          connections: 64,
          milliseconds: smoke ? 300 : 2_000,
          status: '200',
          bytes: Buffer.byteLength(body),
        })
        busiest = Math.max(busiest, busy)
        return perSecond
      }
    let busiest = 0

    for (const { name, path, found } of faces) {
      const answer = await lookedUp(`${server.url}${path}`, found)
      const Seamark = contestant(`${server.url}${path}`, answer)

      /** @type {Worker<BareHttp>} */
      const bare = await worker('bare-http')
      const bareUrl = await bare.call('serve', prepared(answer))
      const copy = await lookedUp(bareUrl, found)
      if (shown(copy) !== shown(answer))
        throw new Error(
          `The bare server does not send the same:\n${shown(copy)}\ninstead of\n${shown(answer)}`,
        )
      busiest = 0
      const againstBare = await rounds(
        { Seamark, bare: contestant(`${bareUrl}${path}`, answer) },
        smoke ? 1 : 9,
      )
      const ratio = againstBare.ratio('Seamark', 'bare')
      const details = { ...ratio.details, 'the load was busy': `${Math.round(busiest * 100)}%` }
      report({ what: `${name}, against bare node:http, the same bytes`, ...ratio, details, goal: goals.bare })
      await bare.close()

      if (agent === undefined) continue
      const url = `${agent.url}${consulPath}`
      const Consul = contestant(url, await soon(() => lookedUp(url, (entries) => entries)))
      const againstConsul = await rounds({ Seamark, Consul }, smoke ? 1 : 5)
      report({
        what: `${name}, against Consul's agent`,
        ...againstConsul.ratio('Seamark', 'Consul'),
        goal: goals.consul,
      })
    }
    if (agent === undefined) note(withoutConsul)
    await Promise.all([load.close(), agent?.close(), server.close()])
  },
}

/**
 * Registers the instances as Consul's clients do: with its agent, or with us.
 * @param {string} url
 */
async function registered(url) {
  for (const body of instances) await asJson(`${url}/v1/agent/service/register`, { method: 'PUT', body })
}

/**
 * @typedef {{ headers: readonly [string, string][], body: string }} Answer
 *
 * Asks once, and checks that all instances are there.
 * @param {string} url
 * @param {(body: any) => readonly unknown[]} found
 * @returns {Promise<Answer>}
 */
async function lookedUp(url, found) {
  const response = await fetch(url)
  const body = await response.text()
  const count = response.ok ? found(JSON.parse(body)).length : 0
  if (count !== instances.length)
    throw new Error(`${url} answered ${response.status} with ${count} instances: ${body}`)
  return { headers: [...response.headers], body }
}

/**
 * Tries for 10 s: Consul's catalog follows its agent.
 * @template T
 * @param {() => Promise<T>} attempt
 * @returns {Promise<T>}
 */
async function soon(attempt) {
  for (const end = performance.now() + 10_000; ; ) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** What Node.js adds by itself. */
const added = new Set(['connection', 'date', 'keep-alive'])

/**
 * The answer as the bare server has to give it.
 * @param {Answer} answer
 */
function prepared({ headers, body }) {
  const kept = headers.find(([name]) => name === 'keep-alive')?.[1] ?? ''
  const seconds = Number(/timeout=(\d+)/.exec(kept)?.[1] ?? 5)
  return { headers: headers.filter(([name]) => !added.has(name)), body, keepAliveTimeout: seconds * 1_000 }
}

/**
 * All that is sent but the moment.
 * @param {Answer} answer
 */
function shown({ headers, body }) {
  const lines = headers.filter(([name]) => name !== 'date').map((pair) => pair.join(': '))
  return [...lines.sort(), body].join('\n')
}
