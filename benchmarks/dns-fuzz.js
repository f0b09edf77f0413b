// node benchmarks/dns-fuzz.js [--packets 1000000] [--seed N]: sends garbage to a DNS server in a process of its own, and
// checks that it goes on, and that what it answers can be read. A shorter run is among the tests.
import { parseArgs } from 'node:util'
import { prepare } from '../scripts/prepare.js'
import { strangers } from './dns-strangers.js'
import { worker } from './worker.js'

/** @import { Functions as Face } from './workers/dns-face.js' */
/** @import { Worker } from './worker.js' */

const { values } = parseArgs({
  options: { packets: { type: 'string', default: '1000000' }, seed: { type: 'string' } },
})
const packets = Number(values.packets)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
prepare('packages/dns')
console.log(`${packets} packets of seed ${seed}`)
/** @type {Worker<Face>} */
const face = await worker('dns-face')
const port = await face.call('serve', { seed })
const begun = performance.now()
const { sent, answered, codes } = await strangers({ port, packets, seed })
const complaints = await face.call('complaints', undefined)
await face.close()
const seconds = (performance.now() - begun) / 1_000
console.log(
  `${sent} sent, ${answered} answered, in ${seconds.toFixed(1)} s; by code: ${JSON.stringify(codes)}`,
)
if (complaints.length > 0) {
  console.error(`It complained of itself: ${complaints.join('\n')}`)
  process.exitCode = 1
}
