import { describe, it } from 'vitest'
import { engineOf, type ProgramName, program, programNames } from '../../scripts/programs.js'

/**
 * Tests that need an engine's real server. Where it is not installed they fail in CI, and are skipped elsewhere, saying
 * which command installs it. `ENGINES=etcd,redis` runs those of these engines only, and there they have to run.
 */
export function engineTests(name: ProgramName, suite: () => void): void {
  const filter = wanted()
  if (filter !== undefined && !filter.has(engineOf(name))) {
    describe.skip(`${name} (not among ENGINES=${process.env.ENGINES})`, suite)
  } else if (program(name) !== undefined) {
    describe(name, suite)
  } else {
    const message = `${name} is not installed: npm run engines:install ${name}`
    if (filter !== undefined || process.env.CI) {
      it(`${name} is installed`, () => {
        throw new Error(message)
      })
    } else {
      console.warn(`Skipped, because ${message}`)
      describe.skip(`${name} (not installed)`, suite)
    }
  }
}

/** The engines that `ENGINES` names, or `undefined` for all. */
function wanted(): Set<string> | undefined {
  const names = (process.env.ENGINES ?? '').split(',').flatMap((name) => name.trim() || [])
  if (names.length === 0) return undefined
  const engines = [...new Set(programNames.map(engineOf))]
  const unknown = names.find((name) => !engines.includes(name))
  if (unknown !== undefined)
    throw new Error(`ENGINES names ${JSON.stringify(unknown)}; known are ${engines.join(', ')}.`)
  return new Set(names)
}
