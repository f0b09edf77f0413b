import { type Entry, type Revision, type Selection, type Snapshot, select } from '@seamark/core'
import { type Answer, answer } from './answer.ts'
import { entryJson } from './entry-json.ts'

/** A question about one service. */
export interface ServiceQuestion {
  readonly selection: Selection
  /** The id that the page begins after. */
  readonly after: string | undefined
  readonly limit: number
}

/** Different questions about one snapshot whose answers are kept. */
const kept = 64

/** What a service looks like in JSON: made once per snapshot and question. */
export class ServiceAnswers {
  readonly #answers = new WeakMap<Snapshot, Map<string, Answer>>()

  /** `staleSince` as the catalog says it; `epoch` goes into the ETag, as revisions are only unique within one. */
  answer(
    snapshot: Snapshot,
    question: ServiceQuestion,
    staleSince: number | undefined,
    epoch: string,
  ): Answer {
    const key = JSON.stringify([question, staleSince, epoch])
    let answers = this.#answers.get(snapshot)
    if (answers === undefined) {
      answers = new Map()
      this.#answers.set(snapshot, answers)
    }
    let found = answers.get(key)
    if (found === undefined) {
      found = answer(serviceJson(snapshot, question, staleSince), tag(epoch, snapshot.revision, staleSince))
      if (answers.size >= kept) answers.delete(answers.keys().next().value!)
      answers.set(key, found)
    }
    return found
  }
}

function tag(epoch: string, revision: Revision, staleSince: number | undefined): string {
  return staleSince === undefined ? `${epoch}:${revision}` : `${epoch}:${revision}:${staleSince}`
}

function serviceJson(
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
