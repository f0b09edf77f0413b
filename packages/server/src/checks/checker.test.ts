import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import {
  type Catalog,
  type CheckInput,
  type CheckReport,
  catalog,
  type Engine,
  type Entry,
  type InstanceInput,
  instance,
  instanceId,
  memory,
  type Notice,
  type Registry,
  SeamarkError,
} from '@seamark/core'
import { type FakeClock, fakeClock } from '@seamark/core/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { checker } from './checker.ts'
import { Schedule } from './schedule.ts'

const interval = 10_000
/** No other timer has this delay: it tells a run that is under way. */
const timeout = 5_001
const key = { namespace: 'default', service: 'api', id: 'i1' }
const endings: (() => unknown)[] = []

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end()
})

interface Target {
  readonly port: number
  /** Requests so far. */
  readonly hits: number
  answer: (response: ServerResponse, request: IncomingMessage) => void
  /** Resolves with the socket of the next request. */
  hit(): Promise<Socket>
}

/** An instance to check. Answers 200 "fine" until told otherwise. */
async function target(): Promise<Target> {
  const server = createServer((request, response) => {
    result.hits++
    result.answer(response, request)
  }).listen(0, '127.0.0.1')
  endings.push(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  const result = {
    port: (server.address() as AddressInfo).port,
    hits: 0,
    answer: fine as Target['answer'],
    async hit() {
      const [{ socket }] = await once(server, 'request')
      return socket
    },
  }
  return result
}

const fine = (response: ServerResponse) => void response.end('fine')
const broken = (response: ServerResponse) => void response.writeHead(503).end('broken')

interface World {
  readonly clock: FakeClock
  readonly engine: Engine
  readonly replica: Catalog
  readonly notices: Notice[]
  /** What was written, in order. */
  readonly written: CheckReport[]
  /** What the engine throws while it is set. */
  failure: Error | undefined
  register(port: number, check?: Partial<CheckInput>, rest?: Partial<InstanceInput>): Promise<unknown>
  start(options?: { concurrency?: number }): AsyncDisposable
  /** Lets time pass in steps, between which so many checks come to rest. */
  elapse(ms: number, checks?: number): Promise<void>
  /** Resolves once so many checks wait for their next beat, and none runs. */
  rest(checks?: number): Promise<void>
  shown(fits: (entry: Entry | undefined) => boolean): Promise<Entry | undefined>
}

async function world(): Promise<World> {
  const clock = fakeClock()
  const delays = new Map<object, number>()
  const observed: FakeClock = {
    ...clock,
    after(delay, callback) {
      const timer = clock.after(delay, () => {
        delays.delete(timer)
        callback()
      })
      delays.set(timer, delay)
      return {
        cancel() {
          delays.delete(timer)
          timer.cancel()
        },
      }
    },
  }
  const engine = memory({ clock })
  const replica = catalog(engine, { clock })
  endings.push(
    () => engine[Symbol.asyncDispose](),
    () => replica[Symbol.asyncDispose](),
  )
  await replica.warm()
  const registry: Pick<Registry, 'report' | 'deregister'> = {
    async report(key, reports) {
      if (result.failure) throw result.failure
      result.written.push(...reports)
      return engine.report(key, reports)
    },
    async deregister(key) {
      if (result.failure) throw result.failure
      return engine.deregister(key)
    },
  }
  const result: World = {
    clock,
    engine,
    replica,
    notices: [],
    written: [],
    failure: undefined,
    async register(port, check = {}, rest = {}) {
      const { revision } = await engine.register(
        instance({
          ...key,
          address: '127.0.0.1',
          port,
          checks: [{ type: 'http', url: '/', interval, timeout, ...check } as CheckInput],
          ...rest,
        }),
      )
      await replica.reached(revision)
    },
    start(options = {}) {
      const running = checker({
        engine: registry,
        catalog: replica,
        clock: observed,
        notify: (notice) => result.notices.push(notice),
        allowCommandChecks: true,
        ...options,
      })
      endings.push(() => running[Symbol.asyncDispose]())
      return running
    },
    async rest(checks = 1) {
      const resting = () => delays.size >= checks && [...delays.values()].every((delay) => delay !== timeout)
      while (!resting()) await new Promise((resolve) => setImmediate(resolve))
      await clock.advance(0)
    },
    async elapse(ms, checks) {
      for (let rest = ms; rest > 0; rest -= 1_000) {
        await clock.advance(Math.min(rest, 1_000))
        await result.rest(checks)
      }
    },
    shown(fits) {
      return new Promise((resolve) => {
        const look = () => {
          const entry = replica.entry(key)
          if (!fits(entry)) return
          subscription[Symbol.dispose]()
          resolve(entry)
        }
        const subscription = replica.subscribe(look)
        look()
      })
    },
  }
  return result
}

const is = (status: string) => (entry: Entry | undefined) => entry?.health.status === status

/** Sockets, processes and pipes of this process. */
const open = () =>
  process
    .getActiveResourcesInfo()
    .filter((kind) => !/^(Timeout|Immediate)$/.test(kind))
    .sort()

// First of all, so that no other test's sockets are still closing.
test('disposing ends every run, and leaves nothing open', async () => {
  const { clock, register, start } = await world()
  const sockets: Socket[] = []
  const server = createTcpServer((socket) => {
    sockets.push(socket.on('error', () => {}).resume())
  }).listen(0, '127.0.0.1')
  endings.push(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const before = open()
  const running = start({ concurrency: 3 })
  const connect = `require('net').connect(${port}, '127.0.0.1')`
  await register(
    port,
    {},
    {
      checks: [
        { type: 'http', url: '/' },
        { type: 'grpc' },
        { type: 'command', command: [process.execPath, '-e', connect] },
        { id: 'waits', type: 'tcp' },
      ],
    },
  )
  while (sockets.length < 3) await once(server, 'connection')
  const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
  await running[Symbol.asyncDispose]()
  await Promise.all(closed)
  await clock.advance(10 * interval)
  expect(sockets).toHaveLength(3)
  expect(open()).toEqual(before)
})

describe('a check', () => {
  test('runs at once when its instance is registered', async () => {
    const { register, start, shown } = await world()
    const api = await target()
    start()
    await register(api.port)
    const entry = await shown(is('passing'))
    expect(entry?.health.checks).toEqual([{ id: 'http', status: 'passing', output: '200 OK\nfine' }])
  })

  test('runs at once when its instance was there before', async () => {
    const { register, start, shown } = await world()
    const api = await target()
    await register(api.port)
    start()
    await shown(is('passing'))
  })

  test('runs again once an interval', async () => {
    const { register, start, rest, elapse } = await world()
    const api = await target()
    start()
    await register(api.port)
    await rest()
    expect(api.hits).toBe(1)
    await elapse(interval)
    expect(api.hits).toBe(2)
    await elapse(10 * interval)
    expect(api.hits).toBe(12)
  })

  test('never runs twice at once', async () => {
    const { clock, register, start, rest } = await world()
    const api = await target()
    let answer: () => void = () => {}
    api.answer = (response) => {
      answer = () => response.end()
    }
    start()
    await register(api.port, { timeout: interval })
    while (api.hits === 0) await clock.advance(0)
    await clock.advance(interval - 1)
    expect(api.hits).toBe(1)
    answer()
    await rest()
    await clock.advance(interval)
    while (api.hits === 1) await clock.advance(0)
    expect(api.hits).toBe(2)
  })

  test('says at once why an instance is not passing', async () => {
    const { register, start, shown } = await world()
    const api = await target()
    api.answer = broken
    start()
    await register(api.port)
    const entry = await shown(
      (entry) => entry?.health.checks[0]?.output !== 'not checked yet' && is('critical')(entry),
    )
    expect(entry?.health.checks[0]?.output).toBe('503 Service Unavailable\nbroken')
  })

  test('fails when it takes longer than its timeout', async () => {
    const { clock, register, start, shown } = await world()
    const api = await target()
    api.answer = () => {}
    start()
    await register(api.port)
    const hungUp = once(await api.hit(), 'close')
    await clock.advance(timeout)
    await hungUp
    const entry = await shown((entry) => entry?.health.checks[0]?.output === `No result within ${timeout} ms`)
    expect(entry?.health.status).toBe('critical')
  })

  test('gets its time again when the server itself stood still', async () => {
    const { clock, register, start, rest, shown } = await world()
    const api = await target()
    let answer: () => void = () => {}
    api.answer = (response) => {
      answer = () => fine(response)
    }
    start()
    await register(api.port)
    await api.hit()
    clock.jump(600_000)
    await clock.advance(timeout - 1)
    answer()
    await rest()
    await shown(is('passing'))
  })

  test('needs as many successes and failures in a row as its thresholds say', async () => {
    const { register, start, rest, elapse, replica } = await world()
    const status = () => replica.entry(key)?.health.status
    const api = await target()
    start()
    await register(api.port, { successThreshold: 2, failureThreshold: 3 })
    await rest()
    expect(status()).toBe('critical')
    await elapse(interval)
    expect(status()).toBe('passing')
    api.answer = broken
    await elapse(2 * interval)
    expect(status()).toBe('passing')
    await elapse(interval)
    expect(status()).toBe('critical')
  })

  test('begins with the health that is known', async () => {
    const { engine, register, start, rest, elapse, replica } = await world()
    const api = await target()
    api.answer = broken
    await register(api.port, { failureThreshold: 2 })
    await replica.reached(await engine.report(key, [{ id: 'http', status: 'passing' }]))
    start()
    await rest()
    expect(replica.entry(key)?.health.status).toBe('passing')
    await elapse(interval)
    expect(replica.entry(key)?.health.status).toBe('critical')
  })

  test('that is not allowed is critical, and says why', async () => {
    const { register, start, shown } = await world()
    start()
    await register(80, { url: 'http://169.254.169.254/' })
    const entry = await shown((entry) => entry?.health.checks[0]?.output.includes('never') === true)
    expect(entry?.health.status).toBe('critical')
  })
})

test('later runs of checks with the same interval are spread over it', async () => {
  const { clock, register, start, rest, elapse } = await world()
  const api = await target()
  start()
  const ids = Array.from({ length: 100 }, (_, index) => `i${index}`)
  for (const id of ids) await register(api.port, {}, { id })
  await rest(100)
  const half = clock.now() + interval / 2
  const early = ids.filter(
    (id) => new Schedule(`${instanceId({ ...key, id })}\u0000http`, interval).after(clock.now()) <= half,
  ).length
  expect(early).toBeGreaterThan(25)
  expect(early).toBeLessThan(75)
  await elapse(interval / 2, 100)
  expect(api.hits).toBe(100 + early)
  await elapse(interval / 2, 100)
  expect(api.hits).toBe(200)
})

describe('an instance', () => {
  test('that registers again as it was keeps its health, its schedule and what was counted', async () => {
    const { register, start, rest, elapse, replica } = await world()
    const api = await target()
    start()
    await register(api.port, { failureThreshold: 2 })
    await rest()
    api.answer = broken
    await elapse(interval)
    await register(api.port, { failureThreshold: 2 }, { tags: ['new'], version: '2.0.0' })
    await rest()
    expect(api.hits).toBe(2)
    expect(replica.entry(key)?.health.status).toBe('passing')
    await elapse(interval)
    expect(api.hits).toBe(3)
    expect(replica.entry(key)?.health.status).toBe('critical')
  })

  test('whose check is another one now is checked at once', async () => {
    const { register, start, rest } = await world()
    const api = await target()
    const paths: unknown[] = []
    api.answer = (response, { url }) => {
      paths.push(url)
      fine(response)
    }
    start()
    await register(api.port, { url: '/old' })
    await rest()
    await register(api.port, { url: '/new' })
    while (api.hits < 2) await rest()
    await rest()
    expect(paths).toEqual(['/old', '/new'])
  })

  test('that moved is checked at once, at its new place', async () => {
    const { register, start, rest } = await world()
    const [one, other] = [await target(), await target()]
    start()
    await register(one.port)
    await rest()
    await register(other.port)
    while (other.hits < 1) await rest()
    expect([one.hits, other.hits]).toEqual([1, 1])
  })

  test('that went away and came back is checked at once', async () => {
    const { engine, register, start, rest, replica, shown } = await world()
    const api = await target()
    start()
    await register(api.port)
    await shown(is('passing'))
    await rest()
    await replica.reached((await engine.deregister(key))!)
    await register(api.port)
    expect(is('critical')(replica.entry(key))).toBe(true)
    await shown(is('passing'))
    expect(api.hits).toBe(2)
  })

  test('that is deregistered is not checked any more, and a run under way ends', async () => {
    const { clock, engine, register, start, replica, written } = await world()
    const api = await target()
    api.answer = () => {}
    start()
    await register(api.port)
    const hungUp = once(await api.hit(), 'close')
    await replica.reached((await engine.deregister(key))!)
    await hungUp
    await clock.advance(10 * interval)
    expect(api.hits).toBe(1)
    expect(written).toEqual([])
  })

  test('has as many checks as it likes, each with its own result', async () => {
    const { register, start, shown } = await world()
    const api = await target()
    start()
    await register(
      api.port,
      {},
      {
        checks: [
          { type: 'http', url: '/', interval, timeout },
          { type: 'tcp', interval, timeout },
          { type: 'command', command: [process.execPath, '-e', 'process.exitCode = 1'], interval, timeout },
        ],
      },
    )
    const entry = await shown(is('warning'))
    expect(entry?.health.checks.map(({ id, status }) => [id, status])).toEqual([
      ['http', 'passing'],
      ['tcp', 'passing'],
      ['command', 'warning'],
    ])
  })

  test('without checks is left alone', async () => {
    const { register, start, rest, written, replica } = await world()
    const api = await target()
    start()
    await register(api.port)
    await rest()
    await register(api.port, {}, { checks: [] })
    expect(replica.entry(key)?.health.status).toBe('passing')
    expect(written).toHaveLength(1)
  })
})

describe('what is written', () => {
  test('is only what changed', async () => {
    const { register, start, rest, elapse, written } = await world()
    const api = await target()
    start()
    await register(api.port)
    await rest()
    await elapse(20 * interval)
    expect(written.map(({ status }) => status)).toEqual(['passing'])
    api.answer = broken
    await elapse(20 * interval)
    expect(written.map(({ status }) => status)).toEqual(['passing', 'critical'])
  })

  test('is an output that changes without the status at most every five minutes', async () => {
    const { register, start, rest, elapse, written } = await world()
    const api = await target()
    api.answer = (response) => void response.end(`request ${api.hits}`)
    start()
    await register(api.port)
    await rest()
    await elapse(290_000)
    expect(written.map(({ output }) => output)).toEqual(['200 OK\nrequest 1'])
    await elapse(20_000)
    expect(written).toHaveLength(2)
    await elapse(280_000)
    expect(written).toHaveLength(2)
    await elapse(20_000)
    expect(written).toHaveLength(3)
  })

  test('takes the place of what somebody else wrote', async () => {
    const { engine, register, start, rest, elapse, replica } = await world()
    const api = await target()
    start()
    await register(api.port)
    await rest()
    await replica.reached(await engine.report(key, [{ id: 'http', status: 'critical' }]))
    await elapse(interval)
    expect(replica.entry(key)?.health.status).toBe('passing')
  })

  test('is not lost while the engine is away: the latest is written when it is back', async () => {
    const world_ = await world()
    const { clock, register, start, rest, elapse, written, notices, shown } = world_
    const api = await target()
    start()
    await register(api.port)
    await shown(is('passing'))
    await rest()
    world_.failure = new SeamarkError('engine_unavailable', 'The engine is away.')
    api.answer = broken
    await elapse(interval)
    api.answer = (response) => void response.writeHead(500).end('still broken')
    await elapse(40 * interval)
    expect(written).toHaveLength(1)
    world_.failure = undefined
    await clock.advance(timeout - 2)
    await rest()
    await elapse(interval)
    expect((await shown(is('critical')))?.health.checks[0]?.output).toContain('still broken')
    expect(notices.map(({ event }) => event)).toEqual(['health_write_failed', 'health_write_recovered'])
  })

  test('is dropped when the instance is gone', async () => {
    const world_ = await world()
    const { register, start, rest, elapse, notices } = world_
    const api = await target()
    world_.failure = new SeamarkError('instance_not_found', 'There is no such instance.')
    start()
    await register(api.port)
    await rest()
    await elapse(2 * interval)
    expect(notices).toEqual([])
  })
})

describe('deregisterAfter', () => {
  const deregisterAfter = 60_000

  test('deregisters what was critical for so long, with a notice', async () => {
    const { register, start, rest, elapse, shown, replica, notices } = await world()
    const api = await target()
    api.answer = broken
    start()
    await register(api.port, { deregisterAfter })
    await rest()
    await elapse(deregisterAfter - interval)
    expect(replica.entry(key)).toBeDefined()
    expect(notices).toEqual([])
    await elapse(interval - 1)
    expect(replica.entry(key)).toBeDefined()
    await elapse(interval + 1, 0)
    await shown((entry) => entry === undefined)
    expect(notices).toEqual([
      expect.objectContaining({
        event: 'instance_deregistered',
        details: expect.objectContaining({ ...key, check: 'http' }),
      }),
    ])
  })

  test('counts from the start again after a success', async () => {
    const { register, start, rest, elapse, replica } = await world()
    const api = await target()
    api.answer = broken
    start()
    await register(api.port, { deregisterAfter })
    await rest()
    await elapse(deregisterAfter - interval)
    api.answer = fine
    await elapse(interval)
    api.answer = broken
    await elapse(deregisterAfter)
    expect(replica.entry(key)).toBeDefined()
  })

  test('does not count maintenance', async () => {
    const { engine, register, start, rest, elapse, replica } = await world()
    const api = await target()
    api.answer = broken
    start()
    await register(api.port, { deregisterAfter })
    await rest()
    await replica.reached(await engine.report(key, [{ id: 'maintenance', status: 'maintenance' }]))
    await elapse(3 * deregisterAfter)
    await replica.reached(await engine.report(key, [{ id: 'maintenance', status: null }]))
    await elapse(deregisterAfter - interval)
    expect(replica.entry(key)).toBeDefined()
  })

  test('does not count the time in which the server itself stood still', async () => {
    const { clock, register, start, rest, elapse, replica } = await world()
    const api = await target()
    api.answer = broken
    start()
    await register(api.port, { deregisterAfter })
    await rest()
    clock.jump(3_600_000)
    await elapse(2 * interval)
    expect(replica.entry(key)).toBeDefined()
  })

  test('is tried again while the engine is away, unless the instance recovers', async () => {
    const world_ = await world()
    const { register, start, rest, elapse, replica } = world_
    const api = await target()
    api.answer = broken
    start()
    await register(api.port, { deregisterAfter })
    await rest()
    world_.failure = new SeamarkError('engine_unavailable', 'The engine is away.')
    await elapse(2 * deregisterAfter)
    api.answer = fine
    await elapse(interval)
    world_.failure = undefined
    await elapse(3 * interval)
    expect(replica.entry(key)?.health.status).toBe('passing')
  })
})

test('2,000 checks with 50 slots: 50 run at once, never more, and all get their turn', async () => {
  const { engine, replica, start } = await world()
  const api = await target()
  let waiting: ServerResponse[] = []
  let most = 0
  let answered = 0
  api.answer = (response) => {
    waiting.push(response)
    most = Math.max(most, waiting.length)
    // All 50 slots are taken: a 51st request could only come now.
    if (waiting.length === 50)
      setImmediate(() => {
        const ready = waiting
        waiting = []
        answered += ready.length
        for (const response of ready) response.end()
      })
  }
  for (let i = 0; i < 2_000; i++)
    await engine.register(
      instance({
        ...key,
        id: `i${i}`,
        address: '127.0.0.1',
        port: api.port,
        checks: [{ type: 'http', url: '/' }],
      }),
    )
  const passing = new Set<string>()
  const all = new Promise<void>((resolve) => {
    replica.subscribe(({ changes }) => {
      for (const change of changes)
        if (change.type === 'put' && is('passing')(change.entry)) passing.add(change.entry.instance.id)
      if (passing.size === 2_000) resolve()
    })
  })
  start({ concurrency: 50 })
  await all
  expect(most).toBe(50)
  expect(answered).toBe(2_000)
}, 60_000)
