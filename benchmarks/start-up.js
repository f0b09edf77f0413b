import { join } from 'node:path'
import { asJson } from './json.js'
import { seamark } from './programs.js'
import { worker } from './worker.js'

/** @import { Benchmark } from './figure.js' */
/** @import { Functions as Registry } from './workers/registry.js' */
/** @import { Worker } from './worker.js' */

/** @type {Benchmark} */
export default {
  name: 'start-up',
  title: 'from the command to a server that answers, on lmdb',
  goals: {},

  async run({ smoke, directory, report }) {
    for (const count of smoke ? [0, 10_000] : [0, 100_000, 1_000_000]) {
      const store = join(directory, `store-${count}`)
      if (count > 0) {
        /** @type {Worker<Registry>} */
        const registry = await worker('registry', { flags: ['--expose-gc'] })
        await registry.call('fill', { directory: store, count, together: 10_000 })
        await registry.close()
      }
      const server = await seamark(`lmdb:${store}`)
      await asJson(`${server.url}/readyz`)
      const { instances } = await asJson(`${server.url}/api/v1/status`)
      if (instances !== count)
        throw new Error(`${count} instances were stored, and the server has ${instances}.`)
      await server.close()
      report({ what: `${count.toLocaleString('en')} stored`, value: server.took, unit: 'ms' })
    }
  },
}
