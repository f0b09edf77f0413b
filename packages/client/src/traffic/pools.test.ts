import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { fakeClock } from '@seamark/core/testing'
import { type Dispatcher, request } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import { announce, closed, closing, type Handler, instance, registry, says } from '../../test/instances.ts'
import type { Discovery } from '../discovery.ts'
import { type DispatcherOptions, dispatcher } from './service-dispatcher.ts'

afterEach(closed)

function own(discovery: Discovery, options?: DispatcherOptions): Dispatcher {
  const own = dispatcher(discovery, options)
  closing.push(() => own.destroy())
  return own
}

/** An instance that keeps idle connections for so many ms, and the connections to it. */
async function keeping(handler: Handler, keepAliveTimeout = 600_000) {
  const sockets = new Set<Socket>()
  const port = await instance(
    (request, response) => {
      sockets.add(request.socket)
      handler(request, response)
    },
    { keepAliveTimeout },
  )
  return { port, sockets }
}

const ask = async (dispatcher: Dispatcher, name = 'api') =>
  (await request(`http://${name}.seamark/`, { dispatcher })).body.text()

describe('connections to an instance', () => {
  it('are used again', async () => {
    const discovery = registry()
    const { port, sockets } = await keeping(says('here'))
    await announce(discovery, 'a', port)
    const dispatcher = own(discovery)
    for (let n = 0; n < 20; n++)
      expect(await (await request('http://api.seamark/', { dispatcher, method: 'POST' })).body.text()).toBe(
        'here',
      )
    // One that has just been used rests for a moment.
    expect(sockets.size).toBeLessThanOrEqual(2)
  })

  it('are not kept for longer than it keeps them', async () => {
    const discovery = registry()
    const { port, sockets } = await keeping(says('here'), 2_000)
    await announce(discovery, 'a', port)
    const dispatcher = own(discovery)
    for (let n = 1; n <= 3; n++) {
      await ask(dispatcher)
      expect(sockets.size).toBe(n)
    }
  })

  it('are as many as they may be, and further requests wait', async () => {
    const discovery = registry()
    const { port, sockets } = await keeping(says('here'))
    await announce(discovery, 'a', port)
    const dispatcher = own(discovery, { connections: 2 })
    await Promise.all(Array.from({ length: 20 }, () => ask(dispatcher)))
    expect(sockets.size).toBe(2)
  })

  it('are closed at once when it leaves and they are idle', async () => {
    const discovery = registry()
    const { port, sockets } = await keeping(says('here'))
    const announcement = await announce(discovery, 'a', port)
    await announce(discovery, 'b', await instance(says('there')))
    await discovery.find('api')
    const dispatcher = own(discovery)
    while (sockets.size === 0) await ask(dispatcher)
    const ended = [...sockets].map((socket) => once(socket, 'close'))
    await announcement.close()
    await Promise.all(ended)
    expect(await ask(dispatcher)).toBe('there')
  })

  it('are closed after what is in flight when it leaves', async () => {
    const discovery = registry()
    const responses: ServerResponse[] = []
    const { port, sockets } = await keeping((_, response) => {
      response.write('first')
      responses.push(response)
    })
    const announcement = await announce(discovery, 'a', port)
    const dispatcher = own(discovery)
    const { body } = await request('http://api.seamark/', { dispatcher })
    await announcement.close()
    await expect(ask(dispatcher)).rejects.toMatchObject({ code: 'service_not_found' })
    responses[0]!.end(' last')
    expect(await text(body)).toBe('first last')
    const [socket] = sockets
    if (!socket!.destroyed) await once(socket!, 'close')
  })

  it('are closed when it goes to another address', async () => {
    const discovery = registry()
    const former = await keeping(says('former'))
    const next = await keeping(says('next'))
    await announce(discovery, 'a', former.port)
    const dispatcher = own(discovery)
    expect(await ask(dispatcher)).toBe('former')
    const [socket] = former.sockets
    const ended = once(socket!, 'close')
    await announce(discovery, 'a', next.port)
    await ended
    expect(await ask(dispatcher)).toBe('next')
  })

  it('are shared by services at the same address, until the last of them has left', async () => {
    const discovery = registry()
    const { port, sockets } = await keeping(says('here'))
    const api = await announce(discovery, 'a', port)
    const admin = await announce(discovery, 'b', port, { name: 'admin' })
    const dispatcher = own(discovery)
    await ask(dispatcher)
    await ask(dispatcher, 'admin')
    await api.close()
    await ask(dispatcher, 'admin')
    expect([...sockets].every(({ destroyed }) => !destroyed)).toBe(true)
    const ended = [...sockets].map((socket) => once(socket, 'close'))
    await admin.close()
    await Promise.all(ended)
  })

  it('are dropped when nobody asked for a minute', async () => {
    const clock = fakeClock()
    const discovery = registry({ clock })
    const { port, sockets } = await keeping(says('here'))
    await announce(discovery, 'a', port, { ttl: '1h' })
    const dispatcher = own(discovery)
    await ask(dispatcher)
    const [socket] = sockets
    const ended = once(socket!, 'close')
    await clock.advance(60_000)
    await ask(dispatcher)
    await clock.advance(60_000)
    expect(socket!.destroyed).toBe(false)
    await clock.advance(120_000)
    await ended
    expect(await ask(dispatcher)).toBe('here')
  })
})

it.each([0, 1.5, -1])('cannot be %d', (connections) => {
  expect(() => dispatcher(registry(), { connections })).toThrow(
    expect.objectContaining({ code: 'invalid_field', field: 'connections' }),
  )
})
