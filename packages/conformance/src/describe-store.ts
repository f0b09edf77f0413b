import { storing } from './cases/storing.ts'
import type { Harness } from './harness.ts'
import { checkSkips, suite } from './suite.ts'
import { EngineTrial } from './trial.ts'

/** Declares the tests that every store must pass. Throws when the harness skips a test that does not exist. */
export function describeStore(name: string, harness: Harness): void {
  const { skip = [] } = harness
  checkSkips(skip, Object.keys(storing))
  suite(name, storing, {
    begin: async () => new EngineTrial(harness, await harness.setup()),
    skip,
    timeout: 120_000,
  })
}
