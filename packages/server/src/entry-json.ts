import type { Entry } from '@seamark/core'
import { Memo } from './memo.ts'

/**
 * The JSON of entries: their instance's fields, then health and revisions. Most entries of a service that changed are
 * the same as before; at most 32 Mi characters are remembered.
 */
const jsons = new Memo<Entry, string>(
  ({ instance, health, createdRevision, modifiedRevision }) =>
    JSON.stringify({ ...instance, health, createdRevision, modifiedRevision }),
  33_554_432,
)

export function entryJson(entry: Entry): string {
  return jsons.get(entry)
}

/** The same without remembering it: for passes over everything there is. */
export function passingEntryJson(entry: Entry): string {
  return jsons.glance(entry)
}
