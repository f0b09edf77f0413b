import { invalidField, type Revision, SeamarkError, type WriteOperation } from '@seamark/core'
import { requestLimits } from './bounds.ts'
import type { Routes } from './context.ts'
import { beginEventStream } from './event-stream.ts'
import { itemJson } from './item-json.ts'
import * as schemas from './schemas.ts'
import { seenOf } from './seen.ts'

/** An operation as it arrives; the schema has seen to its types. */
interface OperationJson {
  readonly type: WriteOperation['type']
  readonly key: string
  readonly value?: string
  readonly at?: Revision
}

const tags = ['items']

/** Small values beside the registry, for faces whose own model has to remember more than instances. */
export const items: Routes = (app, { context }, done) => {
  const { engine, items, itemWatchers, itemsVisible, bounds } = context

  app.post<{ Body: { operations: OperationJson[] } }>(
    '/items',
    {
      bodyLimit: bounds.writeBodyBytes,
      schema: {
        tags,
        summary: 'Write items, all or nothing',
        description:
          'At one revision, each key at most once. `at` compares: the item must be at that `modifiedRevision`, and with 0 there must be none; otherwise nothing is written, and it is 409 `item_changed`. The answer is 0 when there was nothing to change.',
        querystring: schemas.noQuery,
        body: schemas.writeBody,
        response: schemas.responses({
          200: { description: 'It is written.', schema: schemas.answers.revision },
        }),
      },
    },
    async (request) => {
      const revision = await engine.write(request.body.operations.map(operation))
      if (revision === undefined)
        throw new SeamarkError(
          'item_changed',
          'Nothing was written: an item is not at the revision that the write compares with. Read it again.',
          { field: 'operations' },
        )
      await itemsVisible(revision)
      return { revision }
    },
  )

  app.get<{ Querystring: { prefix?: string; after?: string; limit?: number } }>(
    '/items',
    {
      schema: {
        tags,
        summary: 'Items by the prefix of their keys',
        description:
          'In the order of their keys (by UTF-16 code units). A page ends at `limit`, or where its values become large; it has at least one item if there is any.',
        querystring: schemas.itemsQuery,
        response: schemas.responses({ 200: { description: 'A page.', schema: schemas.answers.items } }),
      },
    },
    async (request, reply) => {
      const { prefix = '', after = '', limit = 100 } = request.query
      const { revision, staleSince = null } = items
      const page: string[] = []
      let bytes = 0
      let last: string | undefined
      let next: string | null = null
      for (const item of items.list(prefix)) {
        if (item.key <= after) continue
        bytes += item.value.byteLength
        if (page.length === limit || (page.length > 0 && bytes > requestLimits.itemsPageBytes)) {
          next = last!
          break
        }
        page.push(itemJson(item))
        last = item.key
      }
      const rest = JSON.stringify({ next, revision, staleSince }).slice(1)
      return reply.type('application/json; charset=utf-8').send(`{"items":[${page.join(',')}],${rest}`)
    },
  )

  app.get<{ Querystring: { prefix?: string } }>(
    '/items/watch',
    {
      exposeHeadRoute: false,
      schema: {
        tags,
        summary: 'Watch items by the prefix of their keys',
        description:
          'Server-sent events: `reset`, `put`, `delete`, and `applied`, which closes a batch and alone has an id. Nothing holds before `applied`. With `Last-Event-ID`, it goes on from there, or begins with a `reset` when that is too long ago. A reader that is slow gets the latest state, not every state.',
        querystring: schemas.itemWatchQuery,
        response: schemas.eventStream,
      },
    },
    async (request, reply) => {
      const seen = seenOf(request.headers['last-event-id'])
      itemWatchers.admit()
      reply.hijack()
      if (reply.raw.closed) return
      beginEventStream(reply.raw)
      itemWatchers.join(reply.raw, request.query.prefix ?? '', seen)
    },
  )

  done()
}

/** Throws `invalid_field` for what the schema cannot say. */
function operation({ type, key, value, at }: OperationJson, index: number): WriteOperation {
  const field = `operations/${index}`
  if (type === 'put') {
    if (value === undefined) throw invalidField(`${field}/value`, 'is required')
    if (value.length % 4 !== 0) throw invalidField(`${field}/value`, 'must be base64, with its padding')
    return { type, key, value: Buffer.from(value, 'base64'), ...(at !== undefined && { at }) }
  }
  if (value !== undefined) throw invalidField(`${field}/value`, `is not a field of a ${type}`)
  if (type === 'delete') return { type, key, ...(at !== undefined && { at }) }
  if (at === undefined) throw invalidField(`${field}/at`, 'is required')
  return { type, key, at }
}
