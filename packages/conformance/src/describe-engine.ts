import { describe } from 'vitest'
import { reading } from './cases/reading.ts'
import { storing } from './cases/storing.ts'
import { describeRegistry } from './describe-registry.ts'
import { describeSource } from './describe-source.ts'
import { describeStore } from './describe-store.ts'
import { type Harness, type Skip, sourceOf } from './harness.ts'

/** All suites: what an engine must pass. The tests that the harness skips may be of any. */
export function describeEngine(name: string, harness: Harness): void {
  const { skip = [] } = harness
  const of = (holds: (title: string) => boolean): Skip[] =>
    skip.map(({ reason, tests }) => ({ reason, tests: tests.filter(holds) }))
  const isReading = (title: string) => Object.hasOwn(reading, title)
  const isStoring = (title: string) => Object.hasOwn(storing, title)
  describe(name, () => {
    describeSource('as a source', sourceOf({ ...harness, skip: of(isReading) }))
    describeRegistry('as a registry', {
      ...harness,
      skip: of((title) => !isReading(title) && !isStoring(title)),
    })
    describeStore('as a store', { ...harness, skip: of(isStoring) })
  })
}
