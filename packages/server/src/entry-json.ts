import type { Entry } from '@seamark/core'

/**
 * The JSON of an entry: its instance's fields, then health and revisions. Kept as long as the entry itself, as most
 * entries of a service that changed are the same as before.
 */
export function entryJson(entry: Entry): string {
  let json = jsons.get(entry)
  if (json === undefined) {
    json = stringify(entry)
    jsons.set(entry, json)
  }
  return json
}

/** The same without keeping it, for passes over everything there is: a million kept texts are nobody's cache. */
export function passingEntryJson(entry: Entry): string {
  return jsons.get(entry) ?? stringify(entry)
}

const jsons = new WeakMap<Entry, string>()

function stringify({ instance, health, createdRevision, modifiedRevision }: Entry): string {
  return JSON.stringify({ ...instance, health, createdRevision, modifiedRevision })
}
