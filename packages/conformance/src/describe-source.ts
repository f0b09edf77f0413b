import { reading } from './cases/reading.ts'
import type { SourceHarness } from './harness.ts'
import { checkSkips, suite } from './suite.ts'
import { SourceTrial } from './trial.ts'

/** Milliseconds that a test of a source may take: 10,000 instances over a network, on a machine with other things to do. */
const timeout = 120_000

/** Declares the tests that every source must pass. Throws when the harness skips a test that does not exist. */
export function describeSource(name: string, harness: SourceHarness): void {
  const { skip = [] } = harness
  checkSkips(skip, Object.keys(reading))
  suite(name, reading, {
    begin: async () => new SourceTrial(harness, await harness.setup()),
    skip,
    timeout,
  })
}
