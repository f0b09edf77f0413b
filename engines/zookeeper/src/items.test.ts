import { randomUUID } from 'node:crypto'
import { itemFollower } from '@seamark/conformance'
import { type Engine, limits, type Notice, systemClock } from '@seamark/core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { engineTests } from '../../../test/servers/engine-tests.ts'
import { type ZookeeperServer, zookeeperServer } from '../../../test/servers/zookeeper.ts'
import { writeItems } from './item-writing.ts'
import { type Paths, paths } from './paths.ts'
import { Conflict, type Operation, Session } from './session.ts'
import { zookeeper } from './zookeeper.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

engineTests('zookeeper', () => {
  let server: ZookeeperServer
  let base: string
  let at: Paths
  let session: Session
  let engine: Engine
  let notices: Notice[]
  beforeAll(async () => {
    server = await zookeeperServer()
  })
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    base = `/${randomUUID()}`
    at = paths(base)
    notices = []
    engine = await zookeeper(`zookeeper://127.0.0.1:${server.port}${base}`, {
      notify: (notice) => notices.push(notice),
    })
    session = await Session.open(
      { clock: systemClock, server: { host: '127.0.0.1', port: server.port }, credentials: undefined },
      new AbortController().signal,
    )
  })
  afterEach(async () => {
    session.close()
    await engine[Symbol.asyncDispose]()
  })

  const put = (key: string, value = key) => engine.write([{ type: 'put', key, value: bytes(value) }])

  it('is a node below that of its directory, with the value as its data', async () => {
    await put('consul/kv/a/b', 'value')
    await put('plain')
    await put('/')
    await put('x/%')
    expect([...(await session.children(at.items))!].sort()).toEqual([
      '%',
      '%2F',
      'consul%2Fkv%2Fa%2F',
      'x%2F',
    ])
    expect((await session.read(`${base}-seamark/items/consul%2Fkv%2Fa%2F/b`))?.data.toString()).toBe('value')
    expect((await session.read(`${at.items}/%/plain`))?.data.toString()).toBe('plain')
    expect((await session.read(`${at.items}/%2F/%`))?.data.toString()).toBe('/')
    expect((await session.read(`${at.items}/x%2F/%25`))?.data.toString()).toBe('x/%')
  })

  it('goes with its directory, which nobody needs then', async () => {
    await put('a/1')
    await put('a/2')
    await engine.write([{ type: 'delete', key: 'a/1' }])
    expect(await session.children(at.items)).toEqual(['a%2F'])
    await engine.write([{ type: 'delete', key: 'a/2' }])
    await engine.write([{ type: 'check', key: 'b/1', at: 0 }])
    expect(await session.children(at.items)).toEqual([])
  })

  it('that went and came again is not taken for the one that was looked at', async () => {
    const revision = await put('a')
    // With the first comparison, the guard is made.
    expect(await engine.write([{ type: 'check', key: 'a', at: revision! }])).toBe(0)
    const compare = { type: 'put', key: 'a', value: bytes('mine'), at: revision! } as const
    const commit = async (operations: readonly Operation[]) => {
      await engine.write([{ type: 'delete', key: 'a' }])
      await put('a', 'theirs')
      return session.commit(operations)
    }
    // The new node has the version of the old one.
    await expect(writeItems({ session, paths: at, commit }, [compare])).rejects.toThrow(Conflict)
    expect((await session.read(at.item('a')))?.data.toString()).toBe('theirs')
    expect(await engine.write([compare])).toBeUndefined()
  })

  it('is shown whole with what was written with it, however fast others write', async () => {
    await using following = itemFollower(engine, 'a/')
    const texts = () =>
      ['x', 'y'].map((name) => Buffer.from(following.items.get(`a/${name}`)?.value ?? []).toString())
    const last = following.until('the last of them', () => {
      const [x, y] = texts()
      if (x !== y) throw new Error(`Seen half of a write: ${x} and ${y}`)
      return x === '300'
    })
    // Without waiting: many of them arrive while the former ones are read.
    const both = (n: number) =>
      engine.write(['x', 'y'].map((name) => ({ type: 'put', key: `a/${name}`, value: bytes(String(n)) })))
    await Promise.all(Array.from({ length: 300 }, (_, n) => both(n)))
    await both(300)
    await last
  })

  it('may have the longest key, and be written with the most that one write may hold', async () => {
    const keys = Array.from({ length: limits.writeOperations }, (_, n) =>
      `${n}`.padEnd(limits.itemKeyBytes, n % 2 === 0 ? '%' : '/'),
    )
    const value = new Uint8Array(limits.writeBytes / limits.writeOperations)
    const created = await engine.write(keys.map((key) => ({ type: 'put', key, value, at: 0 })))
    const removed = await engine.write(keys.map((key) => ({ type: 'delete', key, at: created! })))
    expect(removed).toBeGreaterThan(created!)
    expect(await engine.write(keys.map((key) => ({ type: 'check', key, at: 0 })))).toBe(0)
    expect(await session.children(at.items)).toEqual([])
  })

  it('that Seamark did not write is left out, and said once', async () => {
    await put('a/1')
    await session.commit([
      { type: 'create', path: `${at.items}/%zz`, data: Buffer.alloc(0) },
      { type: 'create', path: `${at.items}/a%2F/b%2Fc`, data: Buffer.alloc(0) },
    ])
    for (const _ of ['once', 'again']) {
      await using following = itemFollower(engine, '')
      await following.until('the item', () => following.items.size === 1)
    }
    expect(notices.map(({ event, details }) => [event, details?.name])).toEqual([
      ['record_skipped', `${at.items}/%zz`],
      ['record_skipped', `${at.items}/a%2F/b%2Fc`],
    ])
  })
})
