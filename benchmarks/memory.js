import { join } from 'node:path'
import { worker } from './worker.js'

/** @import { Benchmark } from './figure.js' */
/** @import { Functions as Registry } from './workers/registry.js' */
/** @import { Worker } from './worker.js' */

/** As from a busy server. Many more at once leave holes in the heap, which later ones fill. */
const together = 500
const goals = { million: { below: 1_024 } }

/** @type {Benchmark} */
export default {
  name: 'memory',
  title: 'of one instance, in the engine and the catalog together',
  goals,

  async run({ smoke, directory, report }) {
    for (const count of smoke ? [10_000] : [100_000, 1_000_000])
      for (const engine of ['memory', 'lmdb']) {
        /** @type {Worker<Registry>} */
        const registry = await worker('registry', { flags: ['--expose-gc'] })
        const store = engine === 'lmdb' ? join(directory, `store-${count}`) : undefined
        const { heap, resident } = await registry.call('fill', { directory: store, count, together })
        await registry.close()
        const label = `${engine}, ${count.toLocaleString('en')} instances`
        const goal = count >= 1_000_000 ? { goal: goals.million } : {}
        report({ what: `${label}, heap`, value: heap, unit: 'bytes', ...goal })
        report({ what: `${label}, resident`, value: resident, unit: 'bytes', ...goal })
      }
  },
}
