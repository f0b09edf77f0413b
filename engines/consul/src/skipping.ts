import type { Notify } from '@seamark/core'

/** Keys remembered at most. */
const toldBound = 10_000

/** Tells of each record that cannot be read once. */
export function skipping(notify: Notify): (key: string, error: unknown) => void {
  const told = new Set<string>()
  return (key, error) => {
    if (told.has(key)) return
    if (told.size === toldBound) told.clear()
    told.add(key)
    notify({
      level: 'warn',
      event: 'record_skipped',
      message: `Consul's ${key} cannot be shown: ${error instanceof Error ? error.message : error}.`,
      details: { key },
    })
  }
}
