import { describe } from 'vitest'
import { claiming } from './cases/claiming.ts'
import { converging } from './cases/converging.ts'
import { leasing } from './cases/leasing.ts'
import { naming } from './cases/naming.ts'
import { observing } from './cases/observing.ts'
import { registering } from './cases/registering.ts'
import type { Harness } from './harness.ts'
import { type Cases, checkSkips, suite } from './suite.ts'
import { EngineTrial } from './trial.ts'

/** By what they are about. */
const topics: Readonly<Record<string, Cases<EngineTrial>>> = {
  registering,
  leasing,
  observing,
  claiming,
  naming,
  converging,
}

/** Declares the tests that every registry must pass. Throws when the harness skips a test that does not exist. */
export function describeRegistry(name: string, harness: Harness): void {
  const { skip = [], terms } = harness
  checkSkips(skip, Object.values(topics).flatMap(Object.keys))
  describe(name, () => {
    for (const [topic, cases] of Object.entries(topics))
      suite(topic, cases, {
        begin: async () => new EngineTrial(harness, await harness.setup()),
        skip,
        // Where time cannot be driven, a test lets a few leases of a few times the terms go by.
        timeout: 120_000 + 20 * (terms.minimumTtl + 5 * terms.lateness),
      })
  })
}
