import { connect, type Discovery } from '@seamark/client'
import { afterEach, describe, expect, it } from 'vitest'
import { type Host, type HostOptions, host } from './host.ts'
import type { HostContext, HostedService } from './hosted-service.ts'
import type { Logger } from './logger.ts'

const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

function discover(): Discovery {
  const discovery = connect('memory:', { signals: false })
  open.push(discovery)
  return discovery
}

/** What happens, in order; with who can be found at that moment. */
class Diary {
  readonly lines: string[] = []
  readonly #discovery: Discovery

  constructor(discovery: Discovery) {
    this.#discovery = discovery
  }

  service(name: string, more: Partial<HostedService> = {}): HostedService {
    return {
      name,
      start: () => this.#write(`start ${name}`),
      stop: () => this.#write(`stop ${name}`),
      ...more,
    }
  }

  async #write(event: string): Promise<void> {
    const found = await Promise.all(['auth', 'realms'].map((name) => this.#discovery.findAll(name)))
    this.lines.push(`${event} | ${found.flat().map(({ service }) => service)}`)
  }
}

function hosting(discovery: Discovery, options: Omit<HostOptions, 'port'>): Host {
  return host(discovery, { port: 3000, address: '127.0.0.1', drain: 0, logger: silent, ...options })
}

const silent: Logger = { info() {}, warn() {}, error() {} }

const thrown = new Error('No database.')
const fails = () => {
  throw thrown
}

describe('a host', () => {
  it('starts its services in order and stops them in reverse, each announced in between', async () => {
    const discovery = discover()
    const diary = new Diary(discovery)
    const hosted = hosting(discovery, { services: [diary.service('auth'), diary.service('realms')] })
    await hosted.start()
    expect(await discovery.find('auth')).toMatchObject({ address: '127.0.0.1', port: 3000 })
    await hosted.stop()
    expect(diary.lines).toEqual(['start auth | ', 'start realms | auth', 'stop realms | ', 'stop auth | '])
  })

  it('announces each as it says itself, or else as the host does', async () => {
    const discovery = discover()
    const hosted = hosting(discovery, {
      tags: ['blue'],
      version: '1.0.0',
      services: [
        { name: 'auth', version: '2.0.0', port: 4000, id: 'first', route: { path: '/auth' } },
        { name: 'realms' },
      ],
    })
    await hosted.start()
    expect(await discovery.find('auth')).toMatchObject({
      id: 'first',
      version: '2.0.0',
      tags: ['blue'],
      port: 4000,
      route: { path: '/auth' },
    })
    expect(await discovery.find('realms')).toMatchObject({ version: '1.0.0', tags: ['blue'], port: 3000 })
    await hosted.stop()
  })

  it('hosts services that stand for primary, and whose handles are found', async () => {
    const discovery = discover()
    const hosted = hosting(discovery, {
      services: [{ name: 'auth' }, { name: 'realms', tags: ['blue'], primary: true }],
    })
    await hosted.start()
    const handle = {
      name: 'realms',
      address: '127.0.0.1',
      port: 3000,
      tags: ['blue'],
      origin: 'http://127.0.0.1:3000',
    }
    expect(await discovery.find('realms')).toMatchObject(handle)
    const primary = await discovery.waitFor('realms', { primary: true })
    expect(primary).toMatchObject({ ...handle, fence: expect.any(Number) })
    await expect(discovery.find('auth', { primary: true })).rejects.toMatchObject({ code: 'no_match' })
    await hosted.stop()
  })

  it('gives each hook the discovery, its own logger, and where it is announced', async () => {
    const discovery = discover()
    const lines: unknown[] = []
    const logger: Logger = {
      ...silent,
      child: (details) => ({
        ...silent,
        info: (more, message) => lines.push({ ...details, ...more, message }),
      }),
    }
    const contexts: HostContext[] = []
    const keep = (context: HostContext) => {
      contexts.push(context)
      context.logger.info({ port: context.port }, 'here')
    }
    const hosted = host(discovery, {
      port: 3000,
      drain: 0,
      logger,
      services: [{ name: 'auth', start: keep, stop: keep }],
    })
    await hosted.start()
    const { address } = await discovery.find('auth')
    await hosted.stop()
    expect(contexts).toHaveLength(2)
    for (const context of contexts) expect(context).toMatchObject({ discovery, address, port: 3000 })
    expect(lines[0]).toEqual({ service: 'auth', port: 3000, message: 'here' })
  })

  it('stops what was started when a start fails, and rejects with the cause', async () => {
    const discovery = discover()
    const diary = new Diary(discovery)
    const hosted = hosting(discovery, {
      services: [diary.service('auth'), diary.service('realms', { start: fails }), diary.service('never')],
    })
    await expect(hosted.start()).rejects.toBe(thrown)
    expect(diary.lines).toEqual(['start auth | ', 'stop auth | '])
    await hosted.stop()
    expect(diary.lines).toHaveLength(2)
  })

  it('also stops one that started, and could not be announced', async () => {
    const discovery = discover()
    const diary = new Diary(discovery)
    const hosted = hosting(discovery, { services: [diary.service('auth', { weight: -1 })] })
    await expect(hosted.start()).rejects.toMatchObject({ code: 'invalid_field', field: 'weight' })
    expect(diary.lines).toEqual(['start auth | ', 'stop auth | '])
  })

  it('reports a stop that fails after a start that failed, and rejects with the first cause', async () => {
    const discovery = discover()
    const errors: unknown[] = []
    const hosted = hosting(discovery, {
      logger: { ...silent, error: (details) => errors.push(details) },
      services: [
        { name: 'auth', stop: () => Promise.reject(new Error('stuck')) },
        { name: 'realms', start: fails },
      ],
    })
    await expect(hosted.start()).rejects.toBe(thrown)
    expect(errors).toEqual([{ err: new Error('stuck') }])
  })

  it('stops all of them though some fail to, and tells', async () => {
    const discovery = discover()
    const diary = new Diary(discovery)
    const one = hosting(discovery, {
      services: [diary.service('auth'), diary.service('realms', { stop: fails })],
    })
    await one.start()
    await expect(one.stop()).rejects.toBe(thrown)
    expect(diary.lines.at(-1)).toBe('stop auth | ')
    const several = hosting(discovery, {
      services: [
        { name: 'auth', stop: fails },
        { name: 'realms', stop: fails },
      ],
    })
    await several.start()
    await expect(several.stop()).rejects.toMatchObject({ errors: [thrown, thrown] })
  })

  it('that is stopped while it starts, starts no further', async () => {
    const discovery = discover()
    const diary = new Diary(discovery)
    let stopped: Promise<void> | undefined
    const hosted: Host = hosting(discovery, {
      services: [
        diary.service('auth', {
          start: () => {
            stopped = hosted.stop()
          },
        }),
        diary.service('realms'),
      ],
    })
    await expect(hosted.start()).rejects.toMatchObject({ code: 'closed' })
    await stopped
    expect(diary.lines).toEqual(['stop auth | '])
    await expect(hosting(discovery, { services: [] }).stop()).resolves.toBeUndefined()
  })

  it('refuses what is no service', () => {
    expect(() => hosting(discover(), { services: [{ name: 'auth' }, new Date()] })).toThrow(
      'services/1 must have a name',
    )
  })
})
