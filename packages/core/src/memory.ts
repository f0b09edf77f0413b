import { type EmbeddedOptions, embedded } from './embedded.ts'
import type { Engine } from './ports.ts'

/** The registry of one process, kept nowhere: for tests, for local work, and where owners register again anyway. */
export function memory(options?: EmbeddedOptions): Engine {
  return embedded(undefined, options)
}
