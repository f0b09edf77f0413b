import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openEngine } from '@seamark/client'
import type { Engine } from '@seamark/core'
import { open as openDns } from '@seamark/dns'
import { describe, expect, it } from 'vitest'
import { consulServer } from '../servers/consul.ts'
import { engineTests } from '../servers/engine-tests.ts'
import { etcdServer } from '../servers/etcd.ts'
import { postgresServer } from '../servers/postgres.ts'
import { redisServer } from '../servers/redis.ts'
import { zookeeperServer } from '../servers/zookeeper.ts'

const page = readFile(new URL('../../docs/reference/engines.md', import.meta.url), 'utf8')

/** What the table says of an engine. */
async function documented(name: string): Promise<readonly string[]> {
  const row = (await page).split('\n').find((line) => line.startsWith(`| ${name} | \``))
  return row!
    .split('|')
    .map((cell) => cell.trim())
    .slice(3, 6)
}

function milliseconds(ms: number): string {
  return `${ms.toLocaleString('en')} ms`
}

/** What the engine says of itself, in the words of the table. */
function said({ freshness, terms }: Pick<Engine, 'freshness' | 'terms'>): readonly string[] {
  const changes = freshness === 'push' ? 'pushed' : `polled, at most every ${milliseconds(freshness)}`
  return [changes, milliseconds(terms.minimumTtl), milliseconds(terms.lateness)]
}

describe('docs/reference/engines.md says what each engine says of itself:', () => {
  it('memory', async () => {
    await using engine = await openEngine('memory:')
    expect(await documented('memory')).toEqual(said(engine))
  })

  it('LMDB', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'seamark-reference-'))
    try {
      await using engine = await openEngine(`lmdb:${directory}`)
      expect(await documented('LMDB')).toEqual(said(engine))
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  it('plain DNS', async () => {
    await using source = await openDns('dns://127.0.0.1/local')
    expect((await documented('plain DNS'))[0]).toBe(
      `polled, at most every ${milliseconds(source.freshness as number)}`,
    )
  })

  // With the timing that these servers have unless told otherwise: it decides what they grant.
  engineTests('etcd', () => {
    it('etcd', async () => {
      await using server = await etcdServer({ args: ['--heartbeat-interval=100', '--election-timeout=1000'] })
      await using engine = await openEngine(server.url)
      expect(await documented('etcd')).toEqual(said(engine))
    })
  })

  engineTests('zookeeper', () => {
    it('ZooKeeper', async () => {
      await using server = await zookeeperServer()
      await using engine = await openEngine(server.url)
      expect(await documented('ZooKeeper')).toEqual(said(engine))
    })
  })

  engineTests('consul', () => {
    it('Consul', async () => {
      await using server = await consulServer()
      await using engine = await openEngine(server.url)
      expect(await documented('Consul')).toEqual(said(engine))
    })
  })

  engineTests('redis', () => {
    it('Redis', async () => {
      await using server = await redisServer()
      await using engine = await openEngine(server.url)
      expect(await documented('Redis')).toEqual(said(engine))
    })
  })

  engineTests('postgres', () => {
    it('PostgreSQL', async () => {
      await using server = await postgresServer()
      await using engine = await openEngine(server.url)
      expect(await documented('PostgreSQL')).toEqual(said(engine))
    })
  })
})
