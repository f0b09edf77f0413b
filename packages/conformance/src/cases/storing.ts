import { randomBytes } from 'node:crypto'
import { type Engine, type Item, type ItemBatch, isSeamarkError, limits, type Revision } from '@seamark/core'
import { expect } from 'vitest'
import { persistently } from '../harness.ts'
import type { Cases } from '../suite.ts'
import { type EngineTrial, inRounds, noMoreThan, openHandles } from '../trial.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (item: Pick<Item, 'value'> | undefined) => item && new TextDecoder().decode(item.value)

/** The contract of `Store`. */
export const storing: Cases<EngineTrial> = {
  'an item that was written is there for every handle, with its bytes and its revisions': async (trial) => {
    const [one, other] = [await trial.open(), await trial.open()]
    const value = randomBytes(300)
    const revision = await one.write([{ type: 'put', key: trial.itemKey('a'), value }])
    expect(revision).toBeGreaterThan(0)
    for (const engine of [one, other]) {
      const item = await trial.item(engine, 'a', revision!)
      expect(Buffer.from(item!.value).equals(value)).toBe(true)
      expect(item).toMatchObject({ createdRevision: revision, modifiedRevision: revision })
      expect(Object.isFrozen(item)).toBe(true)
    }
  },

  'an item that is written again keeps the revision of its creation, also with the same bytes': async (
    trial,
  ) => {
    const engine = await trial.open()
    const created = await trial.put(engine, 'a', 'one')
    const again = await trial.put(engine, 'a', 'one')
    expect(again).toBeGreaterThan(created)
    expect(await trial.item(engine, 'a', again)).toMatchObject({
      createdRevision: created,
      modifiedRevision: again,
    })
  },

  'an item that was deleted is gone, and one of its key that comes later is a new one': async (trial) => {
    const engine = await trial.open()
    const first = await trial.put(engine, 'a', 'one')
    const deleted = await engine.write([{ type: 'delete', key: trial.itemKey('a') }])
    expect(deleted).toBeGreaterThan(first)
    expect(await trial.item(engine, 'a', deleted!)).toBeUndefined()
    const second = await trial.put(engine, 'a', 'two')
    expect(await trial.item(engine, 'a', second)).toMatchObject({ createdRevision: second })
  },

  'deleting what is not there changes nothing, and answers 0': async (trial) => {
    const engine = await trial.open()
    expect(await engine.write([{ type: 'delete', key: trial.itemKey('none') }])).toBe(0)
    expect(await engine.write([])).toBe(0)
  },

  'a write with comparisons is made when all of them hold': async (trial) => {
    const engine = await trial.open()
    const a = await engine.write([{ type: 'put', key: trial.itemKey('a'), value: bytes('1'), at: 0 }])
    expect(a).toBeGreaterThan(0)
    const b = await engine.write([
      { type: 'put', key: trial.itemKey('a'), value: bytes('2'), at: a! },
      { type: 'check', key: trial.itemKey('none'), at: 0 },
      { type: 'put', key: trial.itemKey('b'), value: bytes('3'), at: 0 },
    ])
    expect(b).toBeGreaterThan(a!)
    const c = await engine.write([
      { type: 'check', key: trial.itemKey('b'), at: b! },
      { type: 'delete', key: trial.itemKey('a'), at: b! },
    ])
    expect(c).toBeGreaterThan(b!)
    expect(await trial.texts(engine, c!)).toEqual({ b: '3' })
  },

  'comparisons that hold, with nothing to change, answer 0': async (trial) => {
    const engine = await trial.open()
    const revision = await trial.put(engine, 'a', '1')
    expect(await engine.write([{ type: 'check', key: trial.itemKey('a'), at: revision }])).toBe(0)
    expect(await engine.write([{ type: 'delete', key: trial.itemKey('b'), at: 0 }])).toBe(0)
  },

  'a write with a comparison that does not hold changes nothing': async (trial) => {
    const engine = await trial.open()
    const first = await trial.put(engine, 'a', '1')
    const second = await trial.put(engine, 'a', '2')
    const put = { type: 'put', key: trial.itemKey('b'), value: bytes('new') } as const
    for (const refused of [
      { type: 'check', key: trial.itemKey('a'), at: first },
      { type: 'check', key: trial.itemKey('a'), at: 0 },
      { type: 'check', key: trial.itemKey('none'), at: first },
      { type: 'put', key: trial.itemKey('a'), value: bytes('3'), at: first },
      { type: 'put', key: trial.itemKey('a'), value: bytes('3'), at: 0 },
      { type: 'delete', key: trial.itemKey('a'), at: first },
      { type: 'delete', key: trial.itemKey('none'), at: second },
    ] as const)
      expect(await engine.write([put, refused]), JSON.stringify(refused)).toBeUndefined()
    const last = await trial.put(engine, 'c', 'end')
    expect(await trial.texts(engine, last)).toEqual({ a: '2', c: 'end' })
  },

  'of those who compare with the same revision, one wins': async (trial) => {
    const engines = [await trial.open(), await trial.open()]
    let revision = await trial.put(engines[0]!, 'a', 'start')
    for (let round = 0; round < 5; round++) {
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          engines[index % 2]!.write([
            { type: 'put', key: trial.itemKey('a'), value: bytes(`${round}/${index}`), at: revision },
          ]),
        ),
      )
      const won = outcomes.filter((outcome) => outcome !== undefined)
      expect(won).toHaveLength(1)
      revision = won[0]!
      const item = await trial.item(engines[0]!, 'a', revision)
      expect(text(item)).toBe(`${round}/${outcomes.indexOf(revision)}`)
    }
  },

  'counting by comparison, from several handles, loses nothing': async (trial) => {
    const engines = [await trial.open(), await trial.open()]
    const begun = await trial.put(engines[0]!, 'count', '0')
    const key = trial.itemKey('count')
    const increment = async (engine: Engine): Promise<void> => {
      let since: Revision = begun
      for (;;) {
        const item = (await trial.item(engine, 'count', since))!
        const value = bytes(String(Number(text(item)) + 1))
        const written = await engine.write([{ type: 'put', key, value, at: item.modifiedRevision }])
        if (written !== undefined) return
        since = item.modifiedRevision
      }
    }
    await Promise.all(engines.flatMap((engine) => [increment(engine), increment(engine), increment(engine)]))
    const last = await trial.put(engines[0]!, 'end', '')
    expect((await trial.texts(engines[0]!, last)).count).toBe('6')
  },

  'a watch of items begins with a reset of what is under its prefix, and nothing else': async (trial) => {
    const engine = await trial.open()
    for (const name of ['b', 'a/1', 'a/2', 'a', 'ab']) await trial.put(engine, name, name)
    const last = await trial.put(engine, 'a/3', 'a/3')
    const batch = await trial.firstItems(engine, 'a/', last)
    expect(batch.map(({ key }) => key).sort()).toEqual(
      ['a/1', 'a/2', 'a/3'].map((name) => trial.itemKey(name)),
    )
    expect(await trial.firstItems(engine, 'none/')).toEqual([])
  },

  'a watch of items tells of what changes under its prefix, in order': async (trial) => {
    const engine = await trial.open()
    await trial.put(engine, 'a/0', 'old')
    await using following = trial.followItems(engine, 'a/')
    await following.until('the reset', () => true)
    await trial.put(engine, 'b', 'elsewhere')
    for (let n = 1; n <= 10; n++) await trial.put(engine, 'a/1', String(n))
    await engine.write([{ type: 'delete', key: trial.itemKey('a/0') }])
    await following.until('the deletion', () => !following.items.has(trial.itemKey('a/0')))
    const told = following.batches
      .flatMap(({ changes }) => changes)
      .flatMap((change) => (change.type === 'put' ? Number(text(change.item)) : []))
    expect(told).toEqual(told.toSorted((a, b) => a - b))
    expect(text(following.items.get(trial.itemKey('a/1')))).toBe('10')
    expect(following.items.has(trial.itemKey('b'))).toBe(false)
  },

  'what is written together is seen together': async (trial) => {
    const engine = await trial.open()
    await using following = trial.followItems(engine, 'a/')
    await following.until('the reset', () => true)
    const seen = () => ['x', 'y', 'z'].map((name) => text(following.items.get(trial.itemKey(`a/${name}`))))
    const last = following.until('the last', () => {
      if (new Set(seen()).size > 1) throw new Error(`Seen half of a write: ${seen()}.`)
      return seen()[0] === '10'
    })
    for (let round = 1; round <= 10; round++) {
      const value = bytes(String(round))
      await engine.write(
        ['x', 'y', 'z'].map((name) => ({ type: 'put', key: trial.itemKey(`a/${name}`), value })),
      )
    }
    await last
  },

  'items and instances share one sequence of revisions': async (trial) => {
    const engine = await trial.open()
    const item = await trial.put(engine, 'a', '1')
    const lease = await engine.register(trial.instance('i1'))
    expect(lease.revision).toBeGreaterThan(item)
    const again = await trial.put(engine, 'a', '2')
    expect(again).toBeGreaterThan(lease.revision)
    const gone = await engine.deregister(trial.key('i1'))
    expect(gone).toBeGreaterThan(again)
  },

  'instances are not among the items, nor items among the instances': async (trial) => {
    const engine = await trial.open()
    const item = await trial.put(engine, 'a', '1')
    await engine.register(trial.instance('i1'))
    const { entries } = await trial.read(engine)
    expect(entries).toHaveLength(1)
    expect(await trial.texts(engine, item)).toEqual({ a: '1' })
  },

  'keys may hold anything but control characters': async (trial) => {
    const engine = await trial.open()
    const names = [
      'a/b',
      'a//b',
      '/',
      '.',
      '..',
      '%2F',
      'ä/ü€😀',
      ' space ',
      "'",
      '"',
      '*',
      '?',
      '\\',
      '[x]',
      '{x}',
      '#',
      ':',
    ]
    let last: Revision = 0
    for (const name of names) last = await trial.put(engine, name, name)
    expect(await trial.texts(engine, last)).toEqual(Object.fromEntries(names.map((name) => [name, name])))
    const long = 'k'.repeat(limits.itemKeyBytes - Buffer.byteLength(trial.itemKey('')))
    const revision = await trial.put(engine, long, 'long')
    expect(text(await trial.item(engine, long, revision))).toBe('long')
  },

  'values may hold any bytes, none, and many': async (trial) => {
    const engine = await trial.open()
    const values = [
      new Uint8Array(0),
      Uint8Array.from({ length: 256 }, (_, index) => index),
      randomBytes(limits.writeBytes - 16_384),
    ]
    for (const value of values) {
      const revision = await engine.write([{ type: 'put', key: trial.itemKey('a'), value }])
      const item = await trial.item(engine, 'a', revision!)
      expect(Buffer.from(item!.value).equals(value), `${value.length} bytes`).toBe(true)
    }
  },

  'a write may have as many operations as the limit says': async (trial) => {
    const engine = await trial.open()
    const names = Array.from({ length: limits.writeOperations }, (_, index) => `a/${index}`)
    const revision = await engine.write(
      names.map((name) => ({ type: 'put', key: trial.itemKey(name), value: bytes(name), at: 0 })),
    )
    const items = await trial.firstItems(engine, 'a/', revision!)
    expect(items).toHaveLength(names.length)
    expect(new Set(items.map(({ modifiedRevision }) => modifiedRevision))).toEqual(new Set([revision]))
  },

  'a thousand items are listed whole': async (trial) => {
    const engine = await trial.open()
    const names = Array.from({ length: 1_000 }, (_, index) => `a/${index}`)
    let last: Revision = 0
    await inRounds(names, 20, async (name) => {
      last = Math.max(last, await trial.put(engine, name, name))
    })
    const items = await trial.firstItems(engine, 'a/', last)
    expect(items.map(text).sort()).toEqual([...names].sort())
  },

  'malformed writes are refused, with the field, and change nothing': async (trial) => {
    const engine = await trial.open()
    const value = bytes('x')
    const key = trial.itemKey('a')
    const refused: [string, Parameters<Engine['write']>[0]][] = [
      ['operations/0/key', [{ type: 'put', key: '', value }]],
      ['operations/0/key', [{ type: 'put', key: 'a\u0000b', value }]],
      ['operations/0/key', [{ type: 'put', key: 'a\nb', value }]],
      ['operations/0/key', [{ type: 'put', key: '\ud800', value }]],
      ['operations/0/key', [{ type: 'put', key: 'k'.repeat(limits.itemKeyBytes + 1), value }]],
      [
        'operations/1/key',
        [
          { type: 'put', key, value },
          { type: 'delete', key },
        ],
      ],
      [
        'operations/1/at',
        [
          { type: 'put', key, value },
          { type: 'check', key: 'b', at: -1 },
        ],
      ],
      ['operations', [{ type: 'put', key, value: new Uint8Array(limits.writeBytes + 1) }]],
      [
        'operations',
        Array.from({ length: limits.writeOperations + 1 }, (_, index) => ({
          type: 'put' as const,
          key: trial.itemKey(`a${index}`),
          value,
        })),
      ],
    ]
    for (const [field, operations] of refused) {
      const error = await engine.write(operations).then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(isSeamarkError(error, 'invalid_field') && error.field).toBe(field)
    }
    const last = await trial.put(engine, 'end', '')
    expect(await trial.texts(engine, last)).toEqual({ end: '' })
  },

  'items outlive the handle that wrote them, and those who hold the truth': async (trial) => {
    let last: Revision
    {
      const engine = await trial.open()
      last = await trial.put(engine, 'a', 'kept')
    }
    await trial.crash()
    const engine = await trial.open()
    expect(await trial.texts(engine, last)).toEqual({ a: 'kept' })
  },

  'a watch of items whose connection breaks tells afterwards what it missed': async (trial) => {
    const [watched, writer] = [await trial.open(), await trial.open()]
    await trial.put(writer, 'a', 'before')
    await trial.put(writer, 'b', 'goes')
    await using following = trial.followItems(watched, '', { persistent: true })
    await following.until('both', () => following.items.size === 2)
    await trial.disconnect()
    await persistently(() => trial.put(writer, 'a', 'after'))
    await persistently(() => writer.write([{ type: 'delete', key: trial.itemKey('b') }]))
    await following.until(
      'what was missed',
      () => following.items.size === 1 && text(following.items.get(trial.itemKey('a'))) === 'after',
    )
  },

  'a watch of items ends without an error when its signal aborts, and leaves nothing open': async (trial) => {
    const engine = await trial.open()
    await trial.put(engine, 'a', '1')
    const warm = trial.followItems(engine, '')
    await warm.until('the reset', () => true)
    await warm[Symbol.asyncDispose]()
    const before = openHandles()
    for (let round = 0; round < 5; round++) {
      const following = trial.followItems(engine, '')
      await following.until('the reset', () => true)
      await following[Symbol.asyncDispose]()
    }
    await trial.eventually('the handles to be closed', () => noMoreThan(openHandles(), before))
    const aborted: ItemBatch[] = []
    for await (const batch of engine.watchItems('', AbortSignal.abort())) aborted.push(batch)
    expect(aborted).toEqual([])
  },

  'a handle that was disposed of refuses to write and to watch items': async (trial) => {
    const engine = await trial.open()
    await engine[Symbol.asyncDispose]()
    const error = await engine
      .write([{ type: 'put', key: trial.itemKey('a'), value: bytes('1') }])
      .catch((error: unknown) => error)
    expect(isSeamarkError(error, 'closed')).toBe(true)
    const stop = new AbortController()
    const watching = (async () => {
      for await (const _ of engine.watchItems('', stop.signal)) return 'a batch'
      return 'the end'
    })().catch((error: unknown) => error)
    expect(isSeamarkError(await watching, 'closed')).toBe(true)
    stop.abort()
  },
}
