import { Agent, request } from 'node:http'
import { seamark } from './programs.js'
import { percentile } from './rounds.js'
import { worker } from './worker.js'

/** @import { Benchmark } from './figure.js' */
/** @import { Functions as Crowd } from './workers/crowd.js' */
/** @import { Worker } from './worker.js' */

const goals = { crowd: { below: 250 } }
/** Files that a process opens beside its sockets. */
const ownFiles = 200

/** @type {Benchmark} */
export default {
  name: 'propagation',
  title: 'from a registration to the watchers of its service',
  goals,

  async run({ smoke, report, note }) {
    const crowds = smoke ? [100] : [1_000, 10_000]
    for (const count of crowds) {
      const openFiles = count + ownFiles
      /** @type {Worker<Crowd>} */
      const crowd = await worker('crowd', { openFiles })
      const server = await seamark('memory:', { openFiles })
      try {
        await crowd.call('watch', { url: server.url, service: 'api', count })
      } catch (error) {
        if (!String(error).includes('EMFILE')) throw error
        note(
          `${count} watchers need ${openFiles} open files in one process; this machine does not allow that.`,
        )
        continue
      }
      /** @type {number[]} */
      const delays = []
      const rounds = smoke ? 2 : 20
      const agent = new Agent({ keepAlive: true })
      for (let round = -1; round < rounds; round++) {
        const id = `api-${round + 1}`
        await crowd.call('expect', id)
        const begun = Number(process.hrtime.bigint()) / 1e6
        await register(agent, server.url, id)
        const moments = await crowd.call('told', undefined)
        // The first only warms up.
        if (round >= 0) delays.push(...moments.map((moment) => moment - begun))
      }
      agent.destroy()
      const label = `${count.toLocaleString('en')} watchers`
      const details = { registrations: rounds, longest: percentile(delays, 1) }
      report({ what: `${label}, p50`, value: percentile(delays, 0.5), unit: 'ms' })
      report({
        what: `${label}, p99`,
        value: percentile(delays, 0.99),
        unit: 'ms',
        goal: goals.crowd,
        details,
      })
      await Promise.all([crowd.close(), server.close()])
    }
  },
}

/**
 * @param {Agent} agent
 * @param {string} url
 * @param {string} id
 */
function register(agent, url, id) {
  const path = `/api/v1/namespaces/default/services/api/instances/${id}`
  const headers = { 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, url), { agent, method: 'PUT', headers }, (response) => {
      response.resume()
      if (response.statusCode === 201) response.once('end', () => resolve(undefined))
      else reject(new Error(`PUT ${path} answered ${response.statusCode}.`))
    })
    sent.once('error', reject)
    sent.end(JSON.stringify({ address: '10.0.0.1', port: 3000, tags: ['blue', 'eu'] }))
  })
}
