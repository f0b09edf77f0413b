import { memory, type Notice } from '@seamark/core'
import { type Server, server } from '@seamark/server'
import { afterEach, describe, expect, test } from 'vitest'
import type { Primacy } from './campaign.ts'
import { connect } from './connect.ts'
import type { Discovery } from './discovery.ts'

const open: AsyncDisposable[] = []

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

function disposed<T extends AsyncDisposable>(one: T): T {
  open.push(one)
  return one
}

async function registry(): Promise<Server> {
  const engine = disposed(memory())
  return disposed(await server({ engine, engineName: 'memory', port: 0 }))
}

function discover(url: string, notices: Notice[] = []): Discovery {
  return disposed(connect(url, { signals: false, notify: (notice) => notices.push(notice) }))
}

const about = { name: 'api', address: '127.0.0.1', port: 3000, drain: 0 } as const

/** What happens to the primaries, in order. */
class Chronicle {
  readonly terms: { readonly id: string; readonly primacy: Primacy }[] = []
  readonly #waiting = new Set<() => void>()

  elected(id: string): (primacy: Primacy) => void {
    return (primacy) => {
      this.terms.push({ id, primacy })
      for (const look of this.#waiting) look()
    }
  }

  get ids(): string[] {
    return this.terms.map(({ id }) => id)
  }

  /** Resolves once there were so many. */
  reached(count: number): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (this.terms.length < count) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }
}

/** Two discoveries of one registry: inside the process it is one. */
const places: [string, () => Promise<[Discovery, Discovery]>][] = [
  [
    'inside the process',
    async () => {
      const discovery = discover('memory:')
      return [discovery, discovery]
    },
  ],
  [
    'over HTTP',
    async () => {
      const { url } = await registry()
      return [discover(url), discover(url)]
    },
  ],
]

describe.each(places)('the primary of a service, %s', (_, place) => {
  test('is one of those that want to be it, and the next one when that leaves, with a higher number', async () => {
    const [one, other] = await place()
    const chronicle = new Chronicle()
    const announce = (discovery: Discovery, id: string) =>
      discovery.announce({ ...about, id, primary: chronicle.elected(id) })
    await other.announce({ ...about, id: 'never' })
    const first = await announce(one, 'first')
    const found = await other.waitFor('api', { primary: true })
    expect(found).toMatchObject({ id: 'first', name: 'api', origin: 'http://127.0.0.1:3000' })
    expect(found.fence).toBe(chronicle.terms[0]?.primacy.fence)
    expect(Object.isFrozen(found)).toBe(true)
    expect(await other.find('api', { primary: true })).toBe(found)
    const second = await announce(other, 'second')
    await announce(one, 'third')

    const [term] = chronicle.terms
    expect(term!.primacy.lost.aborted).toBe(false)
    await first.close()
    expect(term!.primacy.lost.reason).toMatchObject({ code: 'lease_lost' })
    await chronicle.reached(2)
    const next = chronicle.terms[1]!
    expect(['second', 'third']).toContain(next.id)
    expect(next.primacy.fence).toBeGreaterThan(found.fence)
    await Promise.all(
      [one, other].map(async (discovery) => {
        for await (const _ of discovery.watch('api'))
          if (discovery.service('api').pick({ primary: true })?.fence === next.primacy.fence) break
      }),
    )
    expect((await one.find('api', { primary: true })).id).toBe(next.id)

    if (next.id === 'third') return
    await second.close()
    await chronicle.reached(3)
    expect(chronicle.terms[2]!.id).toBe('third')
    expect(chronicle.terms[2]!.primacy.fence).toBeGreaterThan(next.primacy.fence)
  })

  test('is nobody when nobody wants to be it, and the error says so', async () => {
    const [one, other] = await place()
    await one.announce({ ...about, id: 'a' })
    await other.waitFor('api')
    await expect(other.find('api', { primary: true })).rejects.toMatchObject({
      code: 'no_match',
      message: 'No instance of api is its primary at present. 1 instance exists: 1 passing.',
      details: { service: 'api', instances: 1, primary: null },
    })
    expect(other.service('api').pick({ primary: true })).toBeUndefined()
    await expect(other.waitFor('api', { primary: true, timeout: 50 })).rejects.toMatchObject({
      code: 'timeout',
      details: { primary: null },
    })
    await expect(other.find('none', { primary: true })).rejects.toMatchObject({ code: 'service_not_found' })
    await expect(other.find('api', { primary: 'a' as never })).rejects.toMatchObject({
      code: 'invalid_field',
      field: 'primary',
    })
    expect((await other.find('api', { primary: false })).id).toBe('a')
  })

  test('has to fit, as anybody who is found', async () => {
    const [one, other] = await place()
    const checks = [{ type: 'reported', id: 'own', initial: 'passing' }] as const
    await one.announce({ ...about, id: 'a', version: '1.0.0', primary: true, checks: [...checks] })
    const found = await other.waitFor('api', { primary: true, version: '^1' })
    expect(found.id).toBe('a')
    await expect(other.find('api', { primary: true, version: '^2' })).rejects.toMatchObject({
      code: 'no_match',
      message: expect.stringContaining('The primary of api, a, is not healthy, or does not fit version ^2.'),
      details: { primary: 'a' },
    })
  })

  test('lets another one have its turn when what it does fails', async () => {
    const [one, other] = await place()
    const chronicle = new Chronicle()
    let fail = (_: Error) => {}
    const failing = new Promise<void>((_, reject) => {
      fail = reject
    })
    await one.announce({
      ...about,
      id: 'failing',
      primary: (primacy) => {
        chronicle.elected('failing')(primacy)
        return failing
      },
    })
    await chronicle.reached(1)
    await other.announce({ ...about, id: 'other', primary: chronicle.elected('other') })
    fail(new Error('No disk.'))
    await chronicle.reached(2)
    expect(chronicle.ids).toEqual(['failing', 'other'])
    expect(chronicle.terms[0]!.primacy.lost.aborted).toBe(true)
    expect(chronicle.terms[1]!.primacy.fence).toBeGreaterThan(chronicle.terms[0]!.primacy.fence)
  })
})

test('a primary learns soon that its instance was removed, and stands again once it is back', async () => {
  const served = await registry()
  const notices: Notice[] = []
  const discovery = discover(served.url, notices)
  const chronicle = new Chronicle()
  await discovery.announce({ ...about, id: 'a', ttl: '1h', primary: chronicle.elected('a') })
  await chronicle.reached(1)
  await fetch(`${served.url}/api/v1/namespaces/default/services/api/instances/a`, { method: 'DELETE' })
  await chronicle.reached(2)
  const [first, second] = chronicle.terms
  expect(first!.primacy.lost.aborted).toBe(true)
  expect(second!.primacy.lost.aborted).toBe(false)
  expect(second!.primacy.fence).toBeGreaterThan(first!.primacy.fence)
  expect(notices.filter(({ event }) => event === 'primary')).toHaveLength(2)
})

test('a primary that does not reach the registry for a TTL takes itself for none, and goes on once it does', async () => {
  const engine = disposed(memory())
  const first = disposed(await server({ engine, engineName: 'memory', port: 0 }))
  const discovery = discover(first.url)
  const chronicle = new Chronicle()
  await discovery.announce({ ...about, id: 'a', ttl: '1s', primary: chronicle.elected('a') })
  await chronicle.reached(1)
  const { lost } = chronicle.terms[0]!.primacy
  const aborted = new Promise((resolve) => lost.addEventListener('abort', resolve))
  await first.close()
  await aborted
  disposed(await server({ engine, engineName: 'memory', port: first.port }))
  await chronicle.reached(2)
  expect(chronicle.terms[1]!.primacy.lost.aborted).toBe(false)
})

test('what a primary throws is told, and a service that has nobody else gets it again', async () => {
  const notices: Notice[] = []
  const discovery = discover('memory:', notices)
  const chronicle = new Chronicle()
  await discovery.announce({
    ...about,
    primary: (primacy) => {
      chronicle.elected('a')(primacy)
      if (chronicle.terms.length === 1) throw new Error('A bug.')
    },
  })
  await chronicle.reached(2)
  expect(notices.find(({ event }) => event === 'primary_failed')).toMatchObject({
    level: 'error',
    details: { error: { message: 'A bug.' } },
  })
  await expect(discovery.announce({ ...about, primary: 1 as never })).rejects.toMatchObject({
    field: 'primary',
  })
})
