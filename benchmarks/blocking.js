import { setTimeout as sleep } from 'node:timers/promises'
import { asJson } from './json.js'
import { consulAgent, seamark, withoutConsul } from './programs.js'
import { median, percentile } from './rounds.js'
import { worker } from './worker.js'

/** @import { Benchmark } from './figure.js' */
/** @import { Functions as Waiters } from './workers/waiters.js' */
/** @import { Worker } from './worker.js' */

const path = '/v1/health/service/api?passing&wait=60s'
const goals = { waiters: { below: 250 } }
/** Files that a process opens beside its sockets. */
const ownFiles = 200
/** Milliseconds until all who were answered wait again. */
const settling = 500

/** @type {Benchmark} */
export default {
  name: 'blocking',
  title: "from a change to those who wait with Consul's blocking queries",
  goals,

  async run({ smoke, directory, report, note }) {
    const count = smoke ? 100 : 5_000
    const openFiles = count + ownFiles
    const rounds = smoke ? 2 : 20
    const label = `${count.toLocaleString('en')} waiting`
    const server = await seamark('memory:', { openFiles })
    try {
      const changes = await measured(server.url, { count, rounds, openFiles })
      report({ what: `${label}, p50`, value: ofEach(changes, 0.5), unit: 'ms' })
      const details = { changes: rounds, 'of all': percentile(changes.flat(), 0.99) }
      report({
        what: `${label}, p99`,
        value: ofEach(changes, 0.99),
        unit: 'ms',
        goal: goals.waiters,
        details,
      })
    } catch (error) {
      if (!String(error).includes('EMFILE')) throw error
      note(
        `${count} waiting clients need ${openFiles} open files in one process; this machine does not allow that.`,
      )
      return
    } finally {
      await server.close()
    }
    const agent = await consulAgent(directory, { openFiles })
    if (agent === undefined) {
      note(withoutConsul)
      return
    }
    const changes = await measured(agent.url, { count, rounds, openFiles })
    report({ what: `${label} for Consul's agent, p50`, value: ofEach(changes, 0.5), unit: 'ms' })
    report({ what: `${label} for Consul's agent, p99`, value: ofEach(changes, 0.99), unit: 'ms' })
    await agent.close()
  },
}

/**
 * Within how many ms this share of the clients were told of a change: the median over the changes, as what disturbs the
 * machine for a moment disturbs one of them.
 * @param {readonly number[][]} changes
 * @param {number} share
 */
function ofEach(changes, share) {
  return median(changes.map((delays) => percentile(delays, share)))
}

/**
 * How long each change of one of ten instances took to reach each who waited, in ms.
 * @param {string} url
 * @param {{ count: number, rounds: number, openFiles: number }} options
 */
async function measured(url, { count, rounds, openFiles }) {
  /** @type {Worker<Waiters>} */
  const waiters = await worker('waiters', { openFiles })
  try {
    for (let number = 0; number < 10; number++) await register(url, number, 'none')
    await waiters.call('wait', { url, path, count })
    /** @type {number[][]} */
    const changes = []
    // The first only warms up.
    for (let round = -1; round < rounds; round++) {
      await sleep(settling)
      const commit = `commit-${round + 2}`
      await waiters.call('expect', `"commit":"${commit}"`)
      const begun = Number(process.hrtime.bigint()) / 1e6
      await register(url, 0, commit)
      const moments = await waiters.call('told', undefined)
      if (round >= 0) changes.push(moments.map((moment) => moment - begun))
    }
    return changes
  } finally {
    await waiters.close()
  }
}

/**
 * One of the instances; the same again, when something about it has changed.
 * @param {string} url
 * @param {number} number
 * @param {string} commit
 */
function register(url, number, commit) {
  const [ID, Address] = [`api-${number}`, `10.0.0.${number + 1}`]
  const body = { ID, Name: 'api', Address, Port: 3000, Tags: ['blue', 'eu'], Meta: { team: 'shop', commit } }
  return asJson(`${url}/v1/agent/service/register`, { method: 'PUT', body })
}
