import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { connect } from '@seamark/client'
import { seamark } from './programs.js'
import { percentile } from './rounds.js'

/** @import { Benchmark } from './figure.js' */

const goals = { seen: { below: 1_500 } }
const announcer = fileURLToPath(new URL('workers/announcer.js', import.meta.url))

/** @type {Benchmark} */
export default {
  name: 'presence',
  title: 'from kill -9 of a service to its watchers, with a TTL of an hour',
  goals,

  async run({ smoke, report }) {
    const server = await seamark('memory:')
    const discovery = connect(server.url, { signals: false })
    /** @type {number[]} */
    const delays = []
    const services = await Promise.all(
      Array.from({ length: smoke ? 2 : 20 }, async (_, index) => {
        const id = `api-${index}`
        const service = fork(announcer, [server.url, id])
        await once(service, 'message')
        return { id, service }
      }),
    )
    await present(server.url, services.length)
    for (const { id, service } of services) {
      const killed = performance.now()
      service.kill('SIGKILL')
      for await (const { entries } of discovery.watch('api'))
        if (entries.every(({ instance }) => instance.id !== id)) break
      delays.push(performance.now() - killed)
    }
    const details = { services: services.length }
    report({ what: 'seen, p50', value: percentile(delays, 0.5), unit: 'ms', details })
    report({ what: 'seen, longest', value: percentile(delays, 1), unit: 'ms', goal: goals.seen, details })
    await discovery.close()
    await server.close()
  },
}

/**
 * Resolves once so many services show that they live.
 * @param {string} url
 * @param {number} count
 */
async function present(url, count) {
  for (;;) {
    const text = await (await fetch(`${url}/metrics`)).text()
    if (text.includes(`\nseamark_presence_streams ${count}\n`)) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
