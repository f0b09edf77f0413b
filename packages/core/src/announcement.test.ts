import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type AnnouncementOptions, KeptAnnouncement, type Tenure } from './announcement.ts'
import { SeamarkError } from './errors.ts'
import { type FakeClock, fakeClock } from './fake-clock.ts'
import { instance } from './instance.ts'
import { memory } from './memory.ts'
import type { Engine, Notice, RegisterOptions } from './ports.ts'
import { Wakeups } from './wakeups.ts'

const ttl = 6_000
const described = instance({
  namespace: 'default',
  service: 'api',
  id: 'i1',
  address: '127.0.0.1',
  port: 3000,
})

const away = new SeamarkError('engine_unavailable', 'The registry is away.')

let clock: FakeClock
let registry: Registry
let notices: Notice[]
let announcements: KeptAnnouncement[]

/** A registry that can be taken away, and be exchanged for an empty one. */
class Registry {
  engine: Engine = memory({ clock })
  trouble: SeamarkError | undefined
  readonly register: number[] = []
  readonly renew: number[] = []
  readonly port: Engine

  constructor() {
    this.port = new Proxy({} as Engine, {
      get: (_, name: keyof Engine) => {
        if (name === 'register')
          return async (given: typeof described, options?: RegisterOptions) => {
            this.register.push(clock.now())
            this.#reach()
            const lease = await this.engine.register(given, options)
            return Object.assign(Object.create(lease), {
              token: lease.token,
              ttl: lease.ttl,
              renew: async () => {
                this.renew.push(clock.now())
                this.#reach()
                const [held] = await this.engine.renew([lease.token])
                if (!held) throw new SeamarkError('lease_lost', 'The lease is lost.')
              },
            })
          }
        const value = this.engine[name]
        return typeof value === 'function' ? value.bind(this.engine) : value
      },
    })
  }

  /** How many instances it shows. */
  async count(): Promise<number> {
    for await (const { changes } of this.engine.watchAll(new AbortController().signal))
      if (changes[0]?.type === 'reset') return changes[0].entries.length
    throw new Error('unreachable')
  }

  #reach(): void {
    if (this.trouble !== undefined) throw this.trouble
  }
}

function announce(drain = 0, accompany?: AnnouncementOptions['accompany']): KeptAnnouncement {
  const announcement = new KeptAnnouncement({
    engine: registry.port,
    clock,
    notify: (notice) => notices.push(notice),
    wakeups: new Wakeups(clock),
    instance: described,
    ttl,
    drain,
    closed: () => {},
    ...(accompany && { accompany }),
  })
  announcements.push(announcement)
  return announcement
}

beforeEach(() => {
  clock = fakeClock()
  registry = new Registry()
  notices = []
  announcements = []
})

afterEach(async () => {
  const closing = Promise.all(announcements.map((announcement) => announcement.close()))
  await clock.advance(1_000)
  await closing
  await registry.engine[Symbol.asyncDispose]()
})

describe('an announcement', () => {
  test('renews about every third of the TTL, and is never gone', async () => {
    const announcement = announce()
    await announcement.first
    expect(announcement.registered).toBe(true)
    for (let n = 0; n < 60; n++) {
      await clock.advance(1_000)
      expect(await registry.count()).toBe(1)
    }
    expect(registry.register).toHaveLength(1)
    expect(registry.renew.length).toBeGreaterThanOrEqual(30)
    expect(registry.renew.length).toBeLessThanOrEqual(46)
  })

  test('registers again, within one TTL, when the registry came back empty', async () => {
    const announcement = announce()
    await announcement.first
    for (let n = 0; n < 20; n++) {
      registry.engine = memory({ clock })
      await clock.advance(ttl)
      expect(await registry.count()).toBe(1)
      expect(announcement.registered).toBe(true)
    }
    expect(notices.map(({ event }) => event)).toContain('announced_again')
  })

  test('tells once that another one announces the same id, and slows down', async () => {
    const [one, other] = [announce(), announce()]
    await Promise.all([one.first, other.first])
    await clock.advance(20 * ttl)
    const events = notices.map(({ event }) => event)
    // Each of the two has a notice of its own.
    expect(events.filter((event) => event === 'announced_twice')).toHaveLength(2)
    expect(events.filter((event) => event === 'announced_again').length).toBeLessThanOrEqual(2)
    expect(await registry.count()).toBe(1)
    // They lay at least a quarter of a TTL between one registration and the next; in a hurry it would be 120 or more.
    expect(registry.register.length).toBeLessThan(20 * 4)
    const closing = other.close()
    await clock.advance(ttl)
    await closing
    expect(one.registered).toBe(true)
    expect(await registry.count()).toBe(1)
  })

  test('that was forgotten many times in a row is still back within one TTL', async () => {
    const announcement = announce()
    await announcement.first
    for (let n = 0; n < 50; n++) {
      registry.engine = memory({ clock })
      let waited = 0
      for (; (await registry.count()) === 0; waited += 100) await clock.advance(100)
      expect(waited).toBeLessThanOrEqual(ttl)
    }
  })

  test('notices within a third of the TTL that a long outage is over', async () => {
    const announcement = announce()
    await announcement.first
    registry.trouble = away
    await clock.advance(3_600_000)
    expect(announcement.registered).toBe(false)
    expect(notices.filter(({ event }) => event === 'announcement_failed')).toHaveLength(1)
    registry.trouble = undefined
    await clock.advance(ttl / 3)
    expect(await registry.count()).toBe(1)
    expect(announcement.registered).toBe(true)
    // Not in a hurry meanwhile: two tries a second at most, here.
    expect(registry.renew.length).toBeLessThan(2 * 3_600)
  })

  test('begins with the registry away, and is registered once that is there', async () => {
    registry.trouble = away
    const announcement = announce()
    await announcement.first
    expect(announcement.registered).toBe(false)
    const ready = announcement.ready()
    await clock.advance(ttl)
    registry.trouble = undefined
    await clock.advance(ttl / 3)
    await ready
    expect(await registry.count()).toBe(1)
  })

  test('fails at once for what the registry refuses for good', async () => {
    registry.trouble = new SeamarkError('id_taken', 'Another service holds that id.')
    await expect(announce().first).rejects.toBe(registry.trouble)
  })

  test('deregisters, and only then waits for that to spread', async () => {
    const announcement = announce(500)
    await announcement.first
    let closed = false
    const closing = announcement.close().then(() => {
      closed = true
    })
    await clock.advance(400)
    expect(await registry.count()).toBe(0)
    expect(closed).toBe(false)
    await clock.advance(100)
    await closing
  })

  test('that is closed while it registers leaves nothing behind', async () => {
    const announcement = announce()
    const closing = announcement.close()
    await clock.advance(0)
    await closing
    expect(await registry.count()).toBe(0)
    await expect(announcement.ready()).rejects.toMatchObject({ code: 'closed' })
  })

  test('that cannot deregister says so, and closes', async () => {
    const announcement = announce()
    await announcement.first
    registry.engine.release = async () => {
      throw away
    }
    await announcement.close()
    expect(notices.map(({ event }) => event)).toContain('deregistration_failed')
  })

  test('stops waiting to be ready when the signal aborts', async () => {
    registry.trouble = away
    const controller = new AbortController()
    const ready = announce().ready(controller.signal)
    controller.abort(new Error('enough'))
    await expect(ready).rejects.toThrow('enough')
  })

  test('has company for as long as it keeps a lease, and not a moment longer', async () => {
    const tenures: Tenure[] = []
    const gone: string[] = []
    const announcement = announce(0, (tenure) => {
      tenures.push(tenure)
      return { [Symbol.dispose]: () => gone.push(tenure.lease.token) }
    })
    await announcement.first
    const [first] = tenures
    expect(first!.until).toBe(clock.now() + ttl)
    await clock.advance(ttl)
    expect(first!.until).toBeGreaterThan(clock.now())
    expect(gone).toEqual([])

    await registry.engine.deregister(described)
    await clock.advance(ttl)
    expect(gone).toEqual([first!.lease.token])
    expect(tenures).toHaveLength(2)
    const tokens = tenures.map(({ lease }) => lease.token)
    const closing = announcement.close()
    await clock.advance(0)
    await closing
    expect(gone).toEqual(tokens)
  })

  test('renews at once when there is reason to doubt its lease, and registers again if that is lost', async () => {
    const tenures: Tenure[] = []
    const announcement = announce(0, (tenure) => {
      tenures.push(tenure)
      return { [Symbol.dispose]: () => {} }
    })
    await announcement.first
    tenures[0]!.doubt()
    await clock.advance(0)
    expect(registry.renew).toEqual([clock.now()])
    await registry.engine.deregister(described)
    tenures[0]!.doubt()
    await clock.advance(0)
    expect(await registry.count()).toBe(1)
    tenures[0]!.doubt()
    await clock.advance(0)
    expect(registry.renew).toHaveLength(2)
  })
})
