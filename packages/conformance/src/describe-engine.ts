import { describe } from 'vitest'
import { reading } from './cases/reading.ts'
import { describeRegistry } from './describe-registry.ts'
import { describeSource } from './describe-source.ts'
import { type Harness, type Skip, sourceOf } from './harness.ts'

/** Both suites: what an engine must pass. The tests that the harness skips may be of either. */
export function describeEngine(name: string, harness: Harness): void {
  const { skip = [] } = harness
  const source: Skip[] = []
  const registry: Skip[] = []
  for (const { reason, tests } of skip) {
    source.push({ reason, tests: tests.filter((title) => Object.hasOwn(reading, title)) })
    registry.push({ reason, tests: tests.filter((title) => !Object.hasOwn(reading, title)) })
  }
  describe(name, () => {
    describeSource('as a source', sourceOf({ ...harness, skip: source }))
    describeRegistry('as a registry', { ...harness, skip: registry })
  })
}
