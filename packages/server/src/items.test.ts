import { limits, type Revision } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { condition } from '../test/condition.ts'
import { type Serving, serving } from '../test/serving.ts'
import { type Stream, type StreamEvent, stream } from '../test/stream.ts'
import { requestLimits } from './bounds.ts'

const base64 = (text: string) => Buffer.from(text).toString('base64')

async function put(served: Serving, key: string, text = key): Promise<Revision> {
  const operations = [{ type: 'put', key, value: base64(text) }]
  const answer = await served.ask('POST', '/items', { operations })
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.json.revision
}

async function list(served: Serving, query = ''): Promise<string[]> {
  const { items } = (await served.ask('GET', `/items${query}`)).json
  return items.map(({ key }: { key: string }) => key)
}

describe('writing items', () => {
  it('is read by the next question, with the bytes and the revisions', async () => {
    await using served = await serving()
    const value = Buffer.from([0, 255, 128]).toString('base64')
    const { json } = await served.ask('POST', '/items', {
      operations: [
        { type: 'put', key: 'a/1', value, at: 0 },
        { type: 'put', key: 'a/2', value: '' },
      ],
    })
    const { items, next, revision, staleSince } = (await served.ask('GET', '/items?prefix=a/')).json
    expect(items).toEqual([
      { key: 'a/1', value, createdRevision: json.revision, modifiedRevision: json.revision },
      { key: 'a/2', value: '', createdRevision: json.revision, modifiedRevision: json.revision },
    ])
    expect({ next, revision, staleSince }).toEqual({ next: null, revision: json.revision, staleSince: null })
  })

  it('is refused with item_changed when a comparison does not hold, and then nothing is written', async () => {
    await using served = await serving()
    const revision = await put(served, 'a')
    const answer = await served.ask('POST', '/items', {
      operations: [
        { type: 'put', key: 'b', value: '' },
        { type: 'check', key: 'a', at: revision - 1 },
      ],
    })
    expect(answer).toMatchObject({
      status: 409,
      json: { error: { code: 'item_changed', field: 'operations' } },
    })
    expect(await list(served)).toEqual(['a'])
  })

  it('answers 0 when there was nothing to change', async () => {
    await using served = await serving()
    for (const operations of [[], [{ type: 'delete', key: 'none' }], [{ type: 'check', key: 'none', at: 0 }]])
      expect((await served.ask('POST', '/items', { operations })).json).toEqual({ revision: 0 })
  })

  it('takes the largest values and the longest keys there may be', async () => {
    await using served = await serving()
    const operations = Array.from({ length: limits.writeOperations }, (_, index) => ({
      type: 'put',
      key: `${index}`.padEnd(limits.itemKeyBytes, '"'),
      value: Buffer.alloc(limits.writeBytes / limits.writeOperations).toString('base64'),
    }))
    expect(await served.ask('POST', '/items', { operations })).toMatchObject({ status: 200 })
    const one = [{ type: 'put', key: 'big', value: Buffer.alloc(limits.writeBytes).toString('base64') }]
    expect(await served.ask('POST', '/items', { operations: one })).toMatchObject({ status: 200 })
    expect(await list(served, '?prefix=big')).toEqual(['big'])
  })

  it('counts the revisions of instances and of items as one sequence', async () => {
    await using served = await serving()
    const first = await put(served, 'a')
    await served.register('api', 'i')
    const { modifiedRevision } = (await served.ask('GET', '/namespaces/default/services/api/instances/i'))
      .json.instance
    const second = await put(served, 'a')
    expect([first, modifiedRevision, second]).toEqual([1, 2, 3])
  })

  const malformed: [name: string, field: string, operation: object][] = [
    ['a put without a value', 'operations/0/value', { type: 'put', key: 'a' }],
    ['a value that is not base64', 'operations/0/value', { type: 'put', key: 'a', value: 'a-_=' }],
    ['base64 without its padding', 'operations/0/value', { type: 'put', key: 'a', value: 'YQ' }],
    ['a value of a delete', 'operations/0/value', { type: 'delete', key: 'a', value: '' }],
    ['a check without a revision', 'operations/0/at', { type: 'check', key: 'a' }],
    ['a revision below 0', 'operations/0/at', { type: 'delete', key: 'a', at: -1 }],
    ['no key', 'operations/0/key', { type: 'delete' }],
    ['an empty key', 'operations/0/key', { type: 'delete', key: '' }],
    ['a key with control characters', 'operations/0/key', { type: 'delete', key: 'a\u0000' }],
    ['an operation nobody knows', 'operations/0/type', { type: 'increment', key: 'a' }],
    ['a field nobody knows', 'operations/0/flags', { type: 'delete', key: 'a', flags: 1 }],
  ]
  it('refuses what is malformed, and names the field', async () => {
    await using served = await serving()
    for (const [name, field, operation] of malformed) {
      const { status, json } = await served.ask('POST', '/items', { operations: [operation] })
      expect([status, json.error.code, json.error.field], name).toEqual([400, 'invalid_field', field])
    }
    const huge = [{ type: 'put', key: 'a', value: Buffer.alloc(limits.writeBytes + 3).toString('base64') }]
    expect((await served.ask('POST', '/items', { operations: huge })).json.error).toMatchObject({
      code: 'invalid_field',
      field: 'operations',
    })
    expect(await list(served)).toEqual([])
  })
})

describe('the list of items', () => {
  it('is in the order of the keys, by pages', async () => {
    await using served = await serving()
    for (const key of ['b', 'a/2', 'a', 'a/1', 'a/1/x', 'c']) await put(served, key)
    expect(await list(served)).toEqual(['a', 'a/1', 'a/1/x', 'a/2', 'b', 'c'])
    const pages: string[][] = []
    let after: string | null = ''
    while (after !== null) {
      const { json } = await served.ask('GET', `/items?prefix=a&limit=2&after=${encodeURIComponent(after)}`)
      pages.push(json.items.map(({ key }: { key: string }) => key))
      after = json.next
    }
    expect(pages).toEqual([
      ['a', 'a/1'],
      ['a/1/x', 'a/2'],
    ])
  })

  it('ends a page before its values become too large, and shows one that is larger alone', async () => {
    await using served = await serving()
    const half = 'x'.repeat(requestLimits.itemsPageBytes / 2)
    for (const key of ['a', 'b', 'c']) await put(served, key, half)
    const first = (await served.ask('GET', '/items')).json
    expect(first.items).toHaveLength(2)
    expect(first.next).toBe('b')
    expect(await list(served, '?after=b')).toEqual(['c'])
  })

  it('refuses a limit and a prefix that are none', async () => {
    await using served = await serving()
    for (const [query, field] of [
      ['?limit=0', 'limit'],
      [`?limit=${requestLimits.itemsPage + 1}`, 'limit'],
      ['?prefx=a', 'prefx'],
    ])
      expect((await served.ask('GET', `/items${query}`)).json.error).toMatchObject({
        code: 'invalid_field',
        field,
      })
  })
})

describe('a watch of items', () => {
  it('begins with a reset of what is under its prefix, and tells every change there', async () => {
    await using served = await serving()
    await put(served, 'a/1')
    await put(served, 'b/1')
    using watching = await watch(served, '?prefix=a/')
    const reset = (await watching.batch())!
    expect(kinds(reset)).toEqual(['reset', 'put a/1', 'applied'])
    expect(reset[1]!.data).toEqual((await served.ask('GET', '/items?prefix=a/')).json.items[0])
    expect(reset.at(-1)!.data).toEqual({ revision: 2 })
    await put(served, 'b/2')
    await served.engine.write([
      { type: 'put', key: 'a/2', value: new Uint8Array() },
      { type: 'put', key: 'c', value: new Uint8Array() },
      { type: 'delete', key: 'a/1' },
    ])
    const batch = (await watching.batch())!
    expect(kinds(batch)).toEqual(['put a/2', 'delete a/1', 'applied'])
    expect(batch.at(-1)!.data).toEqual({ revision: 4 })
    expect(batch.filter(({ id }) => id !== undefined)).toHaveLength(1)
  })

  it('goes on where it was, with the latest state of what changed', async () => {
    await using served = await serving()
    await put(served, 'a')
    await put(served, 'b')
    const seen = await lastId(served)
    for (const text of ['1', '2']) await put(served, 'a', text)
    await served.engine.write([{ type: 'delete', key: 'b' }])
    using watching = await watch(served, '', { 'last-event-id': seen })
    const batch = (await watching.batch())!
    expect(kinds(batch)).toEqual(['put a', 'delete b', 'applied'])
    expect(batch[0]!.data.value).toBe(base64('2'))
  })

  it('begins with a reset when what it has seen is of another stream, or too long ago', async () => {
    await using served = await serving({ bounds: { historyChanges: 2 } })
    await put(served, 'a')
    const seen = await lastId(served)
    for (const key of ['1', '2', '3']) await put(served, key)
    for (const id of [seen, `${served.server.epoch}:4`]) {
      using watching = await watch(served, '', { 'last-event-id': id })
      expect(kinds(await watching.batch())[0]).toBe('reset')
    }
    const refused = await served.ask('GET', '/items/watch', undefined, { 'last-event-id': 'nonsense' })
    expect(refused.json.error).toMatchObject({ code: 'invalid_field', field: 'last-event-id' })
  })

  it('gives a reader that was slow the latest state of what changed', async () => {
    await using served = await serving()
    using watching = await watch(served)
    await watching.batch()
    watching.pause()
    const large = 'x'.repeat(500_000)
    let rounds = 0
    do await put(served, 'a', large + rounds++)
    while (!(await slow(served)))
    for (let n = 0; n < 5; n++) await put(served, 'a', large + rounds++)
    await put(served, 'end')
    watching.resume()
    let told = 0
    let last = ''
    for (;;) {
      const batch = (await watching.batch())!
      for (const { event, data } of batch) {
        if (event === 'put' && data.key === 'a') {
          told++
          last = data.value
        }
      }
      if (kinds(batch).includes('put end')) break
    }
    expect(told).toBeLessThan(rounds)
    expect(Buffer.from(last, 'base64').toString()).toBe(large + (rounds - 1))
  })

  it('gives a reader that missed too much a reset', async () => {
    await using served = await serving({ bounds: { watcherKeys: 2 } })
    using watching = await watch(served)
    await watching.batch()
    watching.pause()
    const large = 'x'.repeat(500_000)
    do await put(served, 'a', large)
    while (!(await slow(served)))
    for (const key of ['b', 'c', 'd']) await put(served, key)
    watching.resume()
    let batch: readonly StreamEvent[]
    do batch = (await watching.batch())!
    while (batch[0]!.event !== 'reset')
    expect(kinds(batch)).toEqual(['reset', 'put a', 'put b', 'put c', 'put d', 'applied'])
  })

  it('gets a comment every 15 seconds', async () => {
    const clock = fakeClock()
    await using served = await serving({ clock })
    using watching = await watch(served)
    await watching.batch()
    await clock.advance(15_000)
    await condition(() => watching.comments.length === 1)
  })

  it('is refused to more than the server has room for, and ends when it drains', async () => {
    await using served = await serving({ bounds: { watchers: 1 } })
    using watching = await watch(served)
    await watching.batch()
    expect((await served.ask('GET', '/items/watch')).json.error.code).toBe('too_many')
    const closed = served.server.close()
    expect(await watching.batch()).toBeUndefined()
    await closed
  })
})

function watch(served: Serving, query = '', headers: Record<string, string> = {}): Promise<Stream> {
  return stream(`${served.server.url}/api/v1/items/watch${query}`, headers)
}

async function lastId(served: Serving): Promise<string> {
  using watching = await watch(served)
  return (await watching.batch())!.at(-1)!.id!
}

async function slow(served: Serving): Promise<boolean> {
  return /^seamark_watch_streams_slow 1$/m.test((await served.ask('GET', '/metrics')).text)
}

function kinds(batch: readonly StreamEvent[] | undefined): string[] {
  return (batch ?? []).map(({ event, data }) => (data.key === undefined ? event : `${event} ${data.key}`))
}
