import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ProgramName } from '../../scripts/programs.js'
import { consulServer } from '../servers/consul.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { etcdServer } from '../servers/etcd.ts'
import { postgresServer } from '../servers/postgres.ts'
import { redisServer } from '../servers/redis.ts'
import { zookeeperServer } from '../servers/zookeeper.ts'
import { serverProcess } from './server-process.ts'

interface Told {
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
  readonly json: any
}

/** Asks Consul's API of the server at this URL. */
async function ask(url: string, method: string, path: string, body?: string): Promise<Told> {
  const response = await fetch(`${url}/v1${path}`, { method, ...(body !== undefined && { body }) })
  const text = await response.text()
  if (response.status >= 500) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return { text, json: text.startsWith('[') || text.startsWith('{') ? JSON.parse(text) : undefined }
}

async function session(url: string, fields: object = {}): Promise<string> {
  const body = JSON.stringify({ LockDelay: '0s', ...fields })
  return (await ask(url, 'PUT', '/session/create', body)).json.ID
}

async function acquire(url: string, key: string, id: string): Promise<boolean> {
  return (await ask(url, 'PUT', `/kv/${key}?acquire=${id}`, id)).text === 'true'
}

async function holder(url: string, key: string): Promise<string | undefined> {
  return (await ask(url, 'GET', `/kv/${key}`)).json?.[0].Session
}

/** How long something may take that takes a moment: ms. */
const soon = { timeout: 20_000 }

const engines: Partial<Record<ProgramName, () => Promise<AsyncDisposable & { readonly url: string }>>> = {
  etcd: etcdServer,
  redis: redisServer,
  postgres: postgresServer,
  zookeeper: zookeeperServer,
  consul: consulServer,
}

for (const [name, start] of Object.entries(engines))
  engineTests(name as ProgramName, () => {
    it('keeps keys that two servers count, and locks that one at a time holds', {
      timeout: 120_000,
    }, async () => {
      await using engine = await start()
      await using a = await serverProcess(engine.url)
      await using b = await serverProcess(engine.url)
      const urlOf = (client: number) => (client % 2 === 0 ? a : b).url
      const increment = async (url: string) => {
        for (;;) {
          const [entry] = (await ask(url, 'GET', '/kv/counter')).json ?? [{ ModifyIndex: 0, Value: '' }]
          const count = Number(Buffer.from(entry.Value, 'base64').toString() || '0')
          const path = `/kv/counter?cas=${entry.ModifyIndex}`
          if ((await ask(url, 'PUT', path, String(count + 1))).text === 'true') return
        }
      }
      await Promise.all(Array.from({ length: 10 }, (_, client) => increment(urlOf(client))))
      // What one server acknowledged, the other shows once its engine has told it; a lost count it would never show.
      await expect.poll(async () => (await ask(a.url, 'GET', '/kv/counter?raw')).text, soon).toBe('10')

      let held = 0
      let most = 0
      const lock = async (url: string) => {
        const mine = await session(url)
        for (let taken = 0; taken < 2; ) {
          if (!(await acquire(url, 'lock', mine))) continue
          most = Math.max(most, ++held)
          await ask(url, 'GET', '/status/leader')
          held--
          taken++
          expect((await ask(url, 'PUT', `/kv/lock?release=${mine}`)).text).toBe('true')
        }
        await ask(url, 'PUT', `/session/destroy/${mine}`)
      }
      await Promise.all(Array.from({ length: 4 }, (_, client) => lock(urlOf(client))))
      expect(most).toBe(1)
      await expect.poll(async () => (await ask(a.url, 'GET', '/kv/lock')).json?.[0].LockIndex, soon).toBe(8)

      // What one of them was doing when it died, the other one does.
      const [kept, ended] = [await session(a.url), await session(a.url, { TTL: '10s' })]
      expect(await acquire(a.url, 'kept', kept)).toBe(true)
      expect(await acquire(a.url, 'ended', ended)).toBe(true)
      await a.kill()
      await expect.poll(() => holder(b.url, 'kept'), soon).toBe(kept)
      await expect.poll(() => holder(b.url, 'ended'), soon).toBe(ended)
      while ((await holder(b.url, 'ended')) !== undefined)
        await new Promise((resolve) => setTimeout(resolve, 100))
      expect(await holder(b.url, 'kept')).toBe(kept)
      expect(await acquire(b.url, 'ended', await session(b.url))).toBe(true)
    })
  })

describe('a server that is killed', () => {
  it('has the locks again that were held, until their sessions end', { timeout: 60_000 }, async () => {
    const directory = await mkdtemp(join(tmpdir(), 'seamark-locks-'))
    try {
      const first = await serverProcess(`lmdb:${directory}`)
      const [stays, ends] = [await session(first.url), await session(first.url, { TTL: '10s' })]
      expect(await acquire(first.url, 'stays', stays)).toBe(true)
      expect(await acquire(first.url, 'ends', ends)).toBe(true)
      await first.kill()
      await using second = await serverProcess(`lmdb:${directory}`)
      expect(await holder(second.url, 'stays')).toBe(stays)
      expect(await holder(second.url, 'ends')).toBe(ends)
      while ((await holder(second.url, 'ends')) !== undefined)
        await new Promise((resolve) => setTimeout(resolve, 100))
      expect(await holder(second.url, 'stays')).toBe(stays)
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})
