import { randomBytes, randomUUID } from 'node:crypto'
import { itemFollower } from '@seamark/conformance'
import { type Engine, limits, type Notice, type WriteOperation } from '@seamark/core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type ConsulServer, consulServer } from '../../../test/servers/consul.ts'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { consul } from './consul.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

interface Entry {
  readonly Key: string
  readonly Value: string | null
  readonly CreateIndex: number
  readonly ModifyIndex: number
}

engineTests('consul', () => {
  let server: ConsulServer
  let prefix: string
  let engine: Engine
  let notices: Notice[]

  beforeAll(async () => {
    server = await consulServer()
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    prefix = `t${randomUUID()}`
    notices = []
    engine = consul(`consul://127.0.0.1:${server.port}/${prefix}`, {
      notify: (notice) => notices.push(notice),
    })
  })
  afterEach(async () => {
    await engine[Symbol.asyncDispose]()
  })

  const kv = (path: string) => `http://127.0.0.1:${server.port}/v1/kv/${prefix}/${path}`

  async function entries(): Promise<readonly Entry[]> {
    const response = await fetch(kv('items/?recurse'))
    return response.status === 404 ? [] : ((await response.json()) as Entry[])
  }

  async function put(key: string, value: Uint8Array = bytes(key), at?: number): Promise<number | undefined> {
    return engine.write([{ type: 'put', key, value, ...(at !== undefined && { at }) }])
  }

  it('is an entry under its key, with its bytes, at the indexes of Consul', async () => {
    const created = await put('consul/kv/a b')
    const modified = await put('consul/kv/a b', Uint8Array.of(0, 255))
    expect(await entries()).toMatchObject([
      { Key: `${prefix}/items/consul/kv/a b`, Value: 'AP8=', CreateIndex: created, ModifyIndex: modified },
    ])
  })

  it('has what a URL could not carry escaped in its key', async () => {
    const keys = ['/', 'a//b', '../x', './y', 'a/.hidden', '50%', 'ü/1']
    for (const key of keys) await put(key)
    expect((await entries()).map(({ Key }) => Key.slice(`${prefix}/items/`.length)).sort()).toEqual(
      ['%2F', 'a/%2Fb', '%2E./x', '%2E/y', 'a/%2Ehidden', '50%25', '%C3%BC/1'].sort(),
    )
    await using following = itemFollower(engine, 'a/')
    await following.until('what begins so', () => following.items.size > 0)
    expect([...following.items.keys()].sort()).toEqual(['a/.hidden', 'a//b'])
  })

  it('that is too large for a transaction is compared and written all the same', async () => {
    const value = randomBytes(500_000)
    const first = await put('big', value, 0)
    expect(await put('big', value, 0)).toBeUndefined()
    expect(await put('big', value, first! + 1)).toBeUndefined()
    const second = await put('big', value, first)
    expect(await entries()).toMatchObject([{ CreateIndex: first, ModifyIndex: second }])
    await using following = itemFollower(engine, '')
    await following.reached(second!)
    expect(Buffer.from(following.items.get('big')!.value).equals(value)).toBe(true)
  })

  it('that is more than Consul takes is refused with its reason', async () => {
    const tooLarge = (setting: string) => ({ code: 'too_large', message: expect.stringContaining(setting) })
    await expect(put('big', Buffer.alloc(limits.writeBytes))).rejects.toMatchObject(
      tooLarge('kv_max_value_size'),
    )
    const half: WriteOperation[] = ['a', 'b'].map((key) => ({
      type: 'put',
      key,
      value: Buffer.alloc(limits.writeBytes / 2),
    }))
    await expect(engine.write(half)).rejects.toMatchObject(tooLarge('txn_max_req_len'))
    const revisions = await Promise.all(Array.from({ length: 33 }, (_, n) => put(`${n}`)))
    const removals = revisions.map((at, n) => ({ type: 'delete', key: `${n}`, at: at! }) as const)
    await expect(engine.write(removals)).rejects.toMatchObject({ code: 'too_large' })
    expect(await engine.write(removals.slice(0, 32))).toBeGreaterThan(0)
    expect(await entries()).toHaveLength(1)
  })

  it('may have the longest key there is', async () => {
    for (const character of ['%', '/', '.', '\u{1f600}']) {
      const key = character.repeat(limits.itemKeyBytes / Buffer.byteLength(character))
      for (const value of [bytes('small'), randomBytes(500_000)]) {
        const revision = await put(key, value)
        await using following = itemFollower(engine, key)
        await following.reached(revision!)
        expect(Buffer.from(following.items.get(key)!.value).equals(value)).toBe(true)
      }
      expect(await engine.write([{ type: 'delete', key }])).toBeGreaterThan(0)
    }
  })

  it('of many that are removed at once is gone at the revision answered, which watches reach', async () => {
    const keys = Array.from({ length: limits.writeOperations }, (_, n) => `a/${n}`)
    await engine.write(keys.map((key) => ({ type: 'put', key, value: bytes(key) })))
    await put('a')
    await using following = itemFollower(engine, 'a/')
    await following.until('all of them', () => following.items.size === keys.length)
    const removed = await engine.write(keys.map((key) => ({ type: 'delete', key })))
    await following.reached(removed!)
    expect(following.items.size).toBe(0)
    // As a watch does that begins later.
    await using later = itemFollower(engine, 'a/')
    await later.reached(removed!)
  })

  it('that Seamark did not write is left out, and said once', async () => {
    await put('a')
    await fetch(kv('items/%252f'), { method: 'PUT', body: 'escaped in another way' })
    await fetch(kv('items/'), { method: 'PUT', body: 'no key at all' })
    for (const _ of ['once', 'again']) {
      await using following = itemFollower(engine, '')
      await following.until('the item', () => following.items.size === 1)
    }
    expect(notices.map(({ event, details }) => [event, details?.key])).toEqual([
      ['record_skipped', `${prefix}/items/`],
      ['record_skipped', `${prefix}/items/%2f`],
    ])
  })
})
