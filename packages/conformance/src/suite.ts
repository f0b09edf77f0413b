import { describe, test } from 'vitest'
import type { Skip } from './harness.ts'

/** The tests of a suite, by their names. */
export type Cases<T> = Readonly<Record<string, (trial: T) => Promise<void>>>

export interface SuiteOptions<T extends AsyncDisposable> {
  /** A new trial for each test. */
  begin(): Promise<T>
  readonly skip: readonly Skip[]
  /** Milliseconds that one test may take. */
  readonly timeout: number
}

/** Declares each case as a test; one that is skipped shows why. */
export function suite<T extends AsyncDisposable>(
  name: string,
  cases: Cases<T>,
  { begin, skip, timeout }: SuiteOptions<T>,
): void {
  const reasons = new Map(skip.flatMap(({ reason, tests }) => tests.map((title) => [title, reason])))
  describe(name, () => {
    for (const [title, run] of Object.entries(cases)) {
      const reason = reasons.get(title)
      if (reason !== undefined) test.skip(`${title} (${reason})`)
      else
        test(title, { timeout }, async () => {
          const trial = await begin()
          let failure: unknown
          await run(trial).catch((error: unknown) => {
            failure = error
          })
          try {
            await trial[Symbol.asyncDispose]()
          } catch (error) {
            // What a failed test could not clean up says nothing new.
            failure ??= error
          }
          if (failure !== undefined) throw failure
        })
    }
  })
}

/** Throws when a harness skips a test that no suite has: it was renamed, and would run no more. */
export function checkSkips(skip: readonly Skip[], titles: readonly string[]): void {
  for (const { reason, tests } of skip) {
    if (reason.trim() === '') throw new Error(`The tests ${tests.join(', ')} are skipped without a reason.`)
    for (const title of tests)
      if (!titles.includes(title)) throw new Error(`There is no test "${title}" to skip (${reason}).`)
  }
}
