// The process of one benchmark: benchmark.js NAME [--smoke]. Tells its parent each figure as it is known.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkFigure } from '../figure.js'

/** @import { Benchmark } from '../figure.js' */

const [name, flag] = process.argv.slice(2)
/** @type {{ default: Benchmark }} */
const { default: benchmark } = await import(`../${name}.js`)
const directory = mkdtempSync(join(tmpdir(), 'seamark-benchmark-'))
process.once('exit', () => rmSync(directory, { recursive: true, force: true }))
// Ends by `exit`, so that what was started ends too.
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(1))
process.once('disconnect', () => process.exit(1))

process.send?.({ title: `${benchmark.name}: ${benchmark.title}` })
await benchmark.run({
  smoke: flag === '--smoke',
  directory,
  report(figure) {
    checkFigure(figure)
    process.send?.({ figure })
  },
  note(text) {
    process.send?.({ note: text })
  },
})
process.exit(0)
