import { type Entry, type Selection, type Snapshot, select } from '@seamark/core'
import { entryJson } from './entry-json.ts'

/** A question about one service. */
export interface ServiceQuestion {
  readonly selection: Selection
  /** The id that the page begins after. */
  readonly after: string | undefined
  readonly limit: number
}

/** What a service looks like in JSON. `staleSince` as the catalog says it. Throws `invalid_field`. */
export function serviceJson(
  { service, revision, entries, holders }: Snapshot,
  { selection, after, limit }: ServiceQuestion,
  staleSince: number | undefined,
): string {
  const found = select(entries, selection)
  const start = after === undefined ? 0 : firstAfter(found, after)
  const page = found.slice(start, start + limit)
  const next = start + limit < found.length ? page.at(-1)!.instance.id : null
  const { namespace, service: name } = service
  const head = JSON.stringify({ namespace, service: name, revision }).slice(0, -1)
  const tail = JSON.stringify({ holders, next, staleSince: staleSince ?? null }).slice(1)
  return `${head},"instances":[${page.map(entryJson).join(',')}],${tail}`
}

/** Where the ids after `id` begin. */
function firstAfter(entries: readonly Entry[], id: string): number {
  const at = entries.findIndex(({ instance }) => instance.id > id)
  return at === -1 ? entries.length : at
}
