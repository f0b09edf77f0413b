import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import {
  type CallOptions,
  type ChannelOptions,
  type Client,
  credentials,
  Metadata,
  type MetadataOptions,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
  type UntypedHandleCall,
} from '@grpc/grpc-js'
import { type AnnounceOptions, connect, type Discovery } from '@seamark/client'
import { memory } from '@seamark/core'
import { server as seamark } from '@seamark/server'
import { afterEach, describe, expect, it } from 'vitest'
import { certificate, key } from '../../client/test/certificate.ts'
import { register } from './register.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const identity = { requestStream: false, responseStream: false }
const text = {
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: String,
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: String,
}
const definition = { ask: { path: '/test.Echo/Ask', ...identity, ...text } }
const EchoClient = makeGenericClientConstructor(definition, 'test.Echo')

type Ask = Extract<UntypedHandleCall, (call: never, callback: never) => void>

interface Running {
  readonly port: number
  readonly server: Server
  /** Calls that arrived. */
  calls: number
}

/** A gRPC server that answers each call with its own name, or as it is told. */
async function echo(
  name: string,
  ask?: (callback: (error: Partial<ServiceError> | null) => void) => void,
  own = ServerCredentials.createInsecure(),
) {
  const server = new Server()
  const running = { server, calls: 0, port: 0 } satisfies Running
  server.addService(definition, {
    ask: ((_: unknown, callback: (error: Partial<ServiceError> | null, value?: string) => void) => {
      running.calls++
      if (ask === undefined) callback(null, name)
      else ask((error) => callback(error, name))
    }) as Ask,
  })
  running.port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', own, (error, port) => (error ? reject(error) : resolve(port)))
  })
  closing.push(() => server.forceShutdown())
  return running
}

function discover(url = 'memory:', options: object = {}): Discovery {
  const discovery = connect(url, { signals: false, notify: () => {}, ...options })
  closing.push(() => discovery.close())
  return discovery
}

function announce(discovery: Discovery, id: string, port: number, more: Partial<AnnounceOptions> = {}) {
  return discovery.announce({
    name: 'api',
    id,
    port,
    address: '127.0.0.1',
    scheme: 'grpc',
    drain: 0,
    ...more,
  })
}

function client(
  target = 'seamark:///api',
  options: ChannelOptions = {},
  trust = credentials.createInsecure(),
): Client {
  // Channels share connections otherwise, with those of the test before.
  const made = new EchoClient(target, trust, {
    'grpc.use_local_subchannel_pool': 1,
    ...options,
  })
  closing.push(() => made.close())
  return made
}

function ask(client: Client, options: CallOptions = {}, flags: MetadataOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = definition.ask
    client.makeUnaryRequest<string, string>(
      path,
      requestSerialize,
      responseDeserialize,
      'hello',
      new Metadata(flags),
      { deadline: Date.now() + 20_000, ...options },
      (error, value) => (error ? reject(error) : resolve(value as string)),
    )
  })
}

/** Asks until everybody in the list has answered, and nobody else does for a whole round. */
async function until(client: Client, names: readonly string[]): Promise<void> {
  const wanted = [...names].sort().join()
  for (;;) {
    const answers = new Set<string>()
    for (let n = 0; n < names.length * 2; n++) answers.add(await ask(client))
    if ([...answers].sort().join() === wanted) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a target', () => {
  it('is a service by its name, all of whose instances get calls', async () => {
    const discovery = discover()
    register(discovery)
    for (const id of ['a', 'b', 'c']) await announce(discovery, id, (await echo(id)).port)
    const calling = client()
    await until(calling, ['a', 'b', 'c'])
    const counts = new Map<string, number>()
    for (let n = 0; n < 30; n++) {
      const name = await ask(calling)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    expect([...counts.values()]).toEqual([10, 10, 10])
  })

  it('may name a namespace, a version range, tags and a zone', async () => {
    const discovery = discover()
    register(discovery)
    await announce(discovery, 'other', (await echo('other')).port, { namespace: 'shop' })
    await announce(discovery, 'one', (await echo('one')).port, { version: '1.4.0', tags: ['blue'] })
    await announce(discovery, 'two', (await echo('two')).port, {
      version: '2.1.0+build',
      tags: ['blue', 'new'],
      zone: 'a',
    })
    const answers: Record<string, string> = {
      'seamark:///shop/api': 'other',
      'seamark:shop/api': 'other',
      'seamark:///api?version=^2': 'two',
      'seamark:///api?version=2.1.0+build': 'two',
      'seamark:///api?version=<2': 'one',
      'seamark:///api?tag=blue&tag=new': 'two',
      'seamark:///api?zone=a&version=2.x': 'two',
    }
    for (const [target, name] of Object.entries(answers)) expect(await ask(client(target))).toBe(name)
  })

  it.each<[string, string]>([
    ['seamark://registry/api', 'must be written as "seamark:///service"'],
    ['seamark://api', 'must be written as "seamark:///service"'],
    ['seamark:///no_label', 'name must be a DNS label'],
    ['seamark:///api?versoin=1', 'has the parameter "versoin"'],
    ['seamark:///api?version=1&version=2', '"version" once'],
    ['seamark:///api?version=new', 'version must be a version range'],
  ])('is refused when it is wrong: %s', (target, message) => {
    register(discover())
    expect(() => client(target)).toThrow(message)
  })

  it('is one of several registries, by its scheme', async () => {
    for (const scheme of ['here', 'there']) {
      const discovery = discover()
      await announce(discovery, scheme, (await echo(scheme)).port)
      register(discovery, { scheme })
    }
    expect(await ask(client('here:///api'))).toBe('here')
    expect(await ask(client('there:///api'))).toBe('there')
    expect(() => register(discover(), { scheme: '://' })).toThrow('scheme must be a letter')
  })

  it('is what calls are made to, as requests over HTTP are', async () => {
    const discovery = discover()
    const authorities: string[] = []
    const server = new Server()
    server.addService(definition, {
      ask: ((call: { getHost(): string }, callback: (error: null, value: string) => void) => {
        authorities.push(call.getHost())
        callback(null, '')
      }) as Ask,
    })
    const port = await new Promise<number>((resolve) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, port) => resolve(port)),
    )
    closing.push(() => server.forceShutdown())
    await announce(discovery, 'a', port)
    await announce(discovery, 'b', port, { namespace: 'shop' })
    register(discovery)
    await ask(client('seamark:///api'))
    await ask(client('seamark:///shop/api'))
    expect(authorities).toEqual(['api.seamark', 'api.shop.seamark'])
  })
})

describe('a certificate', () => {
  const own = ServerCredentials.createSsl(null, [
    { cert_chain: Buffer.from(certificate), private_key: Buffer.from(key) },
  ])
  const trust = credentials.createSsl(Buffer.from(certificate))

  it('names the service, whatever address its instances have', async () => {
    const discovery = discover()
    register(discovery)
    await announce(discovery, 'a', (await echo('a', undefined, own)).port)
    expect(await ask(client('seamark:///api', {}, trust))).toBe('a')
  })

  it('of another name is refused', async () => {
    const discovery = discover()
    register(discovery)
    await announce(discovery, 'a', (await echo('a', undefined, own)).port, { name: 'orders' })
    await expect(ask(client('seamark:///orders', {}, trust))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    })
  })
})

describe('the instances', () => {
  it('come and go while calls are made, and no call fails', async () => {
    const registry = await seamark({ engine: memory(), engineName: 'memory', port: 0 })
    closing.push(() => registry.close())
    const callers = discover(registry.url)
    const announcers = discover(registry.url)
    register(callers)

    const running = new Map<string, { announcement: { close(): Promise<void> }; instance: Running }>()
    const start = async (id: string) => {
      // Answers in its own time, so that calls are under way when it is stopped.
      const instance = await echo(id, (callback) => setImmediate(callback, null))
      running.set(id, {
        announcement: await announce(announcers, id, instance.port, { drain: 200 }),
        instance,
      })
    }
    const stop = async (id: string) => {
      const { announcement, instance } = running.get(id)!
      running.delete(id)
      await announcement.close()
      await new Promise<void>((resolve, reject) =>
        instance.server.tryShutdown((error) => (error ? reject(error) : resolve())),
      )
    }
    for (const id of ['a1', 'b1', 'c1']) await start(id)
    const calling = client()
    await until(calling, ['a1', 'b1', 'c1'])

    let ended = false
    let answered = 0
    const callAgainAndAgain = async () => {
      for (; !ended; answered++) await ask(calling)
    }
    const calls = Promise.all(Array.from({ length: 8 }, callAgainAndAgain)).finally(() => {
      ended = true
    })
    for (const name of ['a', 'b', 'c']) {
      await start(`${name}2`)
      const before = answered
      while (!ended && answered < before + 50) await new Promise((resolve) => setImmediate(resolve))
      await stop(`${name}1`)
    }
    ended = true
    await calls
    await until(calling, ['a2', 'b2', 'c2'])
  })

  it('stay what they were while the registry is away', async () => {
    const registry = await seamark({ engine: memory(), engineName: 'memory', port: 0 })
    const callers = discover(registry.url)
    register(callers)
    const { port } = await echo('a')
    await announce(discover(registry.url), 'a', port)
    const calling = client()
    expect(await ask(calling, { deadline: Date.now() + 20_000 })).toBe('a')
    await registry.close()
    while (callers.staleSince === undefined) await new Promise((resolve) => setImmediate(resolve))
    expect(await ask(calling)).toBe('a')
    expect(await ask(client())).toBe('a')
  })

  it('are those that pass their checks, before those with a warning', async () => {
    const registry = await seamark({ engine: memory(), engineName: 'memory', port: 0 })
    closing.push(() => registry.close())
    const discovery = discover(registry.url)
    register(discovery)
    const checks = [{ type: 'reported', id: 'self', initial: 'warning' }] as const
    await announce(discovery, 'doubtful', (await echo('doubtful')).port, { checks })
    const calling = client()
    await until(calling, ['doubtful'])
    await announce(discovery, 'well', (await echo('well')).port)
    await until(calling, ['well'])
  })

  it('get one share each, however often their address is registered', async () => {
    const discovery = discover()
    register(discovery)
    const { port } = await echo('twice')
    await announce(discovery, 'a', port)
    await announce(discovery, 'b', port)
    await announce(discovery, 'c', (await echo('once')).port)
    const calling = client()
    await until(calling, ['once', 'twice'])
    const answers = [await ask(calling), await ask(calling)]
    expect(answers.sort()).toEqual(['once', 'twice'])
  })
})

describe('a call', () => {
  it('fails with what is the matter when nobody is there, until somebody is', async () => {
    const discovery = discover()
    register(discovery)
    const calling = client()
    await expect(ask(calling)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('api'),
    })
    const patient = ask(calling, {}, { waitForReady: true })
    const first = await announce(discovery, 'a', (await echo('a')).port)
    expect(await patient).toBe('a')
    await first.close()
    await expect(ask(calling)).rejects.toMatchObject({ code: status.UNAVAILABLE })
  })

  it('fails when the registry was never reached, and goes on once it is', async () => {
    const reserved = createServer().listen(0, '127.0.0.1')
    await once(reserved, 'listening')
    const { port } = reserved.address() as AddressInfo
    reserved.close()
    await once(reserved, 'close')
    const discovery = discover(`http://127.0.0.1:${port}`, { wait: 50 })
    register(discovery)
    const calling = client()
    await expect(ask(calling)).rejects.toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('the registry was not reached'),
    })
    const registry = await seamark({ engine: memory(), engineName: 'memory', port })
    closing.push(() => registry.close())
    await announce(discovery, 'a', (await echo('a')).port)
    await discovery.waitFor('api')
    let answer: string | undefined
    while (answer === undefined) answer = await ask(calling).catch(() => undefined)
    expect(answer).toBe('a')
  })

  it('is tried again, when the service config says so', async () => {
    const discovery = discover()
    register(discovery, {
      serviceConfig: {
        methodConfig: [
          {
            name: [{ service: 'test.Echo' }],
            timeout: '20s',
            retryPolicy: {
              maxAttempts: 3,
              initialBackoff: '0.01s',
              maxBackoff: '0.1s',
              backoffMultiplier: 2,
              retryableStatusCodes: ['UNAVAILABLE'],
            },
          },
        ],
      },
    })
    const failing = await echo('failing', (callback) => callback({ code: status.UNAVAILABLE, details: 'no' }))
    await announce(discovery, 'failing', failing.port)
    await announce(discovery, 'well', (await echo('well')).port)
    const calling = client()
    while (failing.calls < 3) expect(await ask(calling)).toBe('well')
  })

  it('goes to nobody who fails again and again, when outliers are detected', async () => {
    const discovery = discover()
    register(discovery, {
      serviceConfig: {
        loadBalancingConfig: [
          {
            outlier_detection: {
              interval: '0.05s',
              failure_percentage_ejection: { threshold: 50, minimum_hosts: 2, request_volume: 4 },
              max_ejection_percent: 50,
              child_policy: [{ round_robin: {} }],
            },
          },
        ],
      },
    })
    const failing = await echo('failing', (callback) => callback({ code: status.INTERNAL, details: 'no' }))
    await announce(discovery, 'failing', failing.port)
    await announce(discovery, 'well', (await echo('well')).port)
    const calling = client()
    let inARow = 0
    while (inARow < 20) {
      const answer = await ask(calling).catch(() => undefined)
      inARow = answer === 'well' ? inARow + 1 : 0
    }
    expect(failing.calls).toBeGreaterThan(3)
  })

  it('goes by the channel’s own service config, when it has one', async () => {
    const discovery = discover()
    register(discovery)
    for (const id of ['a', 'b']) await announce(discovery, id, (await echo(id)).port)
    const calling = client('seamark:///api', {
      'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ pick_first: {} }] }),
    })
    const answers = new Set<string>()
    for (let n = 0; n < 10; n++) answers.add(await ask(calling))
    expect(answers.size).toBe(1)
  })
})

it('refuses a service config that is none, with what grpc-js says of it', () => {
  const discovery = discover()
  expect(() => register(discovery, { serviceConfig: { loadBalancingConfig: [{ best: {} }] } })).toThrow(
    'serviceConfig is no service config: it names no balancer that grpc-js has',
  )
  expect(() =>
    register(discovery, { serviceConfig: { methodConfig: [{ name: [{}], timeout: 'soon' }] } }),
  ).toThrow('serviceConfig is no service config: Invalid method config: invalid timeout')
  expect(() =>
    register(discovery, {
      serviceConfig: { loadBalancingConfig: [{ outlier_detection: { interval: 'often' } }] },
    }),
  ).toThrow('interval parse error')
  expect(() => register(discovery, { panic: 2 })).toThrow('panic must be a share')
})

it('watches nothing for a channel that was closed', async () => {
  const discovery = discover()
  const service = discovery.service('api')
  const subscribe = service.subscribe.bind(service)
  let subscribed = 0
  service.subscribe = (listener) => {
    const subscription = subscribe(listener)
    subscribed++
    return {
      [Symbol.dispose]() {
        subscribed--
        subscription[Symbol.dispose]()
      },
    }
  }
  register(discovery)
  await announce(discovery, 'a', (await echo('a')).port)
  const calling = client()
  expect(await ask(calling)).toBe('a')
  expect(subscribed).toBe(1)
  calling.close()
  expect(subscribed).toBe(0)
})
