import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fakeClock } from '@seamark/core/testing'
import { Agent, type Dispatcher, fetch, request } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import { announce, closed, closing, deadPort, instance, registry, says, tcp } from '../../test/instances.ts'
import type { Discovery } from '../discovery.ts'
import type { RequestOptions } from './destinations.ts'
import { interceptor } from './interceptor.ts'
import { dispatcher } from './service-dispatcher.ts'

afterEach(closed)

function composed(discovery: Discovery, options?: RequestOptions): Dispatcher {
  const agent = new Agent()
  closing.push(() => agent.destroy())
  return agent.compose(interceptor(discovery, options))
}

function own(discovery: Discovery, options?: RequestOptions): Dispatcher {
  const own = dispatcher(discovery, options)
  closing.push(() => own.destroy())
  return own
}

describe.each([
  ['its own dispatcher', own],
  ['an interceptor', composed],
])('through %s', (_, agent) => {
  describe('a request to a service by its name', () => {
    it('arrives at one of its instances, with the name it was made to', async () => {
      const discovery = registry()
      const port = await instance((request, response) =>
        response.end(`${request.method} ${request.url} ${request.headers.host}`),
      )
      await announce(discovery, 'a', port)
      const dispatcher = agent(discovery)
      const answer = await request('http://api.seamark/path?q=1', { dispatcher })
      expect(await answer.body.text()).toBe('GET /path?q=1 api.seamark')
      const fetched = await fetch('http://api.default.seamark/x', {
        method: 'POST',
        body: 'hello',
        dispatcher,
      })
      expect(await fetched.text()).toBe('POST /x api.default.seamark')
      const own = await request('http://api.seamark/', { dispatcher, headers: { Host: 'example.com' } })
      expect(await own.body.text()).toBe('GET / example.com')
    })

    it('keeps headers of every form', async () => {
      const discovery = registry()
      await announce(
        discovery,
        'a',
        await instance((request, response) =>
          response.end(`${request.headers['x-a']} ${request.headers.host}`),
        ),
      )
      const dispatcher = agent(discovery)
      for (const headers of [
        { 'x-a': '1' },
        ['x-a', '1'],
        new Map([['x-a', '1']]),
        new Headers({ 'x-a': '1' }),
      ]) {
        const { body } = await request('http://api.seamark/', { dispatcher, headers })
        expect(await body.text()).toBe('1 api.seamark')
      }
    })

    it('does not count the time to connect against whom it connects to', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      for (const id of ['a', 'b']) await announce(discovery, id, await instance(says(id)))
      const dispatcher = agent(discovery, { slowStart: 0 })
      const ask = async () => (await request('http://api.seamark/', { dispatcher })).body.text()
      await discovery.find('api')
      const first = ask()
      clock.jump(500)
      const met = [await first]
      for (let n = 0; n < 60; n++) met.push(await ask())
      expect(met.filter((id) => id === met[0]).length).toBeGreaterThan(10)
    })

    it('costs no budget where nobody was reached', async () => {
      const discovery = registry()
      const budget = { retryBudget: { share: 0, perSecond: 0 } }
      await announce(discovery, 'a', await instance(says('a')))
      await announce(discovery, 'b', await deadPort())
      const dispatcher = agent(discovery, { ...budget, outliers: false })
      const answers = await Promise.all(
        Array.from({ length: 200 }, async () =>
          (await request('http://api.seamark/', { dispatcher })).body.text(),
        ),
      )
      expect(new Set(answers)).toEqual(new Set(['a']))
    })

    it('leaves all other requests alone', async () => {
      const port = await instance(says('elsewhere'))
      const { body } = await request(`http://127.0.0.1:${port}/`, { dispatcher: agent(registry()) })
      expect(await body.text()).toBe('elsewhere')
    })

    it('waits for the first contact with the registry, and says what there is when nobody fits', async () => {
      const discovery = registry()
      const dispatcher = agent(discovery, { filters: { api: { version: '^2' } } })
      await expect(request('http://api.seamark/', { dispatcher })).rejects.toMatchObject({
        code: 'service_not_found',
      })
      await announce(discovery, 'a', await instance(says('one')), { version: '1.0.0' })
      await discovery.waitFor('api')
      await expect(request('http://api.seamark/', { dispatcher })).rejects.toMatchObject({ code: 'no_match' })
      await announce(discovery, 'b', await instance(says('two')), { version: '2.1.0' })
      await discovery.waitFor('api', { version: '^2' })
      const { body } = await request('http://api.seamark/', { dispatcher })
      expect(await body.text()).toBe('two')
      await expect(request('http://no_name.seamark/', { dispatcher })).rejects.toMatchObject({
        code: 'invalid_field',
      })
    })

    it('does not send what was meant for TLS in the clear', async () => {
      const discovery = registry()
      await announce(discovery, 'a', await instance(says('clear')))
      await discovery.find('api')
      await expect(request('https://api.seamark/', { dispatcher: agent(discovery) })).rejects.toMatchObject({
        code: 'no_match',
      })
    })

    it('streams bodies both ways', async () => {
      const discovery = registry()
      await announce(discovery, 'a', await instance((request, response) => request.pipe(response)))
      const chunks = Array.from({ length: 100 }, (_, index) => Buffer.alloc(10_000, index))
      const { body } = await request('http://api.seamark/', {
        dispatcher: agent(discovery),
        method: 'POST',
        body: Readable.from(chunks),
      })
      const received: Buffer[] = []
      for await (const chunk of body) received.push(chunk)
      expect(Buffer.concat(received).equals(Buffer.concat(chunks))).toBe(true)
    })
  })

  describe('a request that fails', () => {
    it('goes to another instance when it could not even be sent, whatever it is', async () => {
      const discovery = registry()
      await announce(discovery, 'dead', await deadPort())
      await announce(discovery, 'alive', await instance((request, response) => request.pipe(response)))
      const dispatcher = agent(discovery)
      for (let n = 0; n < 10; n++) {
        const { body } = await request('http://api.seamark/', {
          dispatcher,
          method: 'POST',
          body: Readable.from(['streamed']),
        })
        expect(await body.text()).toBe('streamed')
      }
    })

    it('goes to another one when its connection breaks, if it is idempotent', async () => {
      const discovery = registry()
      let broken = 0
      const breaking = await tcp((socket) => {
        socket.once('data', () => {
          broken++
          socket.destroy()
        })
      })
      await announce(discovery, 'broken', breaking)
      await announce(discovery, 'alive', await instance(says('alive')))
      await discovery.find('api')
      const dispatcher = agent(discovery)
      for (let n = 0; n < 4 || broken === 0; n++) {
        const { body } = await request('http://api.seamark/', { dispatcher, method: 'PUT', body: 'again' })
        expect(await body.text()).toBe('alive')
      }
      expect(broken).toBeGreaterThan(0)
    })

    it('is not sent twice when it is not, and the error says to whom it went', async () => {
      const discovery = registry()
      let requests = 0
      const breaking = await tcp((socket) => {
        socket.once('data', () => {
          requests++
          socket.destroy()
        })
      })
      await announce(discovery, 'one', breaking)
      await announce(discovery, 'two', breaking)
      await discovery.find('api')
      const error = await request('http://api.seamark/', {
        dispatcher: agent(discovery),
        method: 'POST',
        body: 'once',
      }).catch((error) => error)
      expect(error).toMatchObject({
        code: 'attempts_failed',
        details: { attempts: [{ origin: `http://127.0.0.1:${breaking}`, outcome: expect.any(String) }] },
      })
      expect(error.cause).toBeInstanceOf(Error)
      expect(requests).toBe(1)
    })

    it('lists all attempts when all fail', async () => {
      const discovery = registry()
      for (const id of ['a', 'b', 'c', 'd']) await announce(discovery, id, await deadPort())
      await discovery.find('api')
      const error = await request('http://api.seamark/', { dispatcher: agent(discovery) }).catch(
        (error) => error,
      )
      expect(error.details.attempts).toHaveLength(3)
      expect(new Set(error.details.attempts.map(({ instance }: { instance: string }) => instance)).size).toBe(
        3,
      )
      expect(error.message).toMatch(/ECONNREFUSED.*ECONNREFUSED.*ECONNREFUSED/)
    })

    it('goes to another one after a 503, which is then left alone for as long as it asks', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      let busy = 0
      const busyPort = await instance((_, response) => {
        busy++
        response.writeHead(503, { 'retry-after': '30' }).end('busy')
      })
      await announce(discovery, 'busy', busyPort)
      await announce(discovery, 'free', await instance(says('free')))
      await discovery.find('api')
      const dispatcher = agent(discovery, { balancer: 'round-robin' })
      const ask = async () => (await request('http://api.seamark/', { dispatcher })).body.text()
      for (let n = 0; n < 10; n++) expect(await ask()).toBe('free')
      expect(busy).toBe(1)
      await clock.advance(30_001)
      for (let n = 0; n < 4; n++) expect(await ask()).toBe('free')
      expect(busy).toBe(2)
    })

    it.each([
      [429, 'as many seconds', () => '20'],
      [503, 'until a date', (now: number) => new Date(now + 20_000).toUTCString()],
    ])('leaves one alone that answers %d and wants that, %s', async (status, _, until) => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      let busy = 0
      const busyPort = await instance((_, response) => {
        busy++
        response.writeHead(status, { 'Retry-After': until(clock.date()) }).end('busy')
      })
      await announce(discovery, 'busy', busyPort, { ttl: '1h' })
      await announce(discovery, 'free', await instance(says('free')), { ttl: '1h' })
      await discovery.find('api')
      const dispatcher = agent(discovery, { balancer: 'round-robin' })
      const ask = async () => (await request('http://api.seamark/', { dispatcher })).body.text()
      for (let n = 0; n < 6; n++) expect(await ask()).toBe('free')
      expect(busy).toBe(1)
      // Dates have no milliseconds.
      await clock.advance(18_500)
      for (let n = 0; n < 6; n++) await ask()
      expect(busy).toBe(1)
      await clock.advance(1_600)
      for (let n = 0; n < 6; n++) await ask()
      expect(busy).toBe(2)
    })

    it('is answered with the 503 when there is nobody else', async () => {
      const discovery = registry()
      await announce(discovery, 'busy', await instance(says('busy', 503)))
      const { statusCode, body } = await request('http://api.seamark/', { dispatcher: agent(discovery) })
      expect([statusCode, await body.text()]).toEqual([503, 'busy'])
    })

    it('is not sent again for more than a fifth of all requests, and ten a second', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      let requests = 0
      const port = await instance((_, response) => {
        requests++
        response.writeHead(503).end()
      })
      for (const id of ['a', 'b', 'c']) await announce(discovery, id, port)
      await discovery.find('api')
      const dispatcher = agent(discovery, { outliers: false })
      for (let n = 0; n < 100; n++) await (await request('http://api.seamark/', { dispatcher })).body.dump()
      expect(requests).toBeLessThanOrEqual(100 + 10 + 20)
      expect(requests).toBeGreaterThan(100 + 10 + 17)
    })
  })

  describe('an instance that fails', () => {
    it('is ejected after five requests, and gets one again after a while', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      let wrong = 0
      const wrongPort = await instance((_, response) => {
        wrong++
        response.writeHead(500).end('wrong')
      })
      await announce(discovery, 'wrong', wrongPort)
      await announce(discovery, 'right', await instance(says('right')))
      await discovery.find('api')
      const dispatcher = agent(discovery, { balancer: 'round-robin' })
      const ask = async () => (await request('http://api.seamark/', { dispatcher })).body.dump()
      for (let n = 0; n < 40; n++) await ask()
      expect(wrong).toBe(5)
      await clock.advance(30_001)
      for (let n = 0; n < 10; n++) await ask()
      expect(wrong).toBe(6)
      await clock.advance(30_001)
      for (let n = 0; n < 10; n++) await ask()
      expect(wrong).toBe(6)
    })

    it('by accepting and never answering is given up after the time of a try, and ejected', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      let wedged = 0
      const wedgedPort = await tcp((socket) => socket.on('data', () => wedged++))
      await announce(discovery, 'wedged', wedgedPort)
      await announce(discovery, 'alive', await instance(says('alive')))
      await discovery.find('api')
      const dispatcher = agent(discovery, { balancer: 'round-robin', tryTimeout: '1s' })
      let pending = 12
      const answers = Array.from({ length: pending }, async () => {
        const answer = (await request('http://api.seamark/', { dispatcher })).body.text()
        pending--
        return answer
      })
      while (pending > 0) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        if (wedged >= 6) await clock.advance(1_000)
      }
      expect(new Set(await Promise.all(answers))).toEqual(new Set(['alive']))
      for (let n = 0; n < 10; n++)
        expect(await (await request('http://api.seamark/', { dispatcher })).body.text()).toBe('alive')
      expect(wedged).toBe(6)
    })

    it('by accepting and never answering gets five requests, which take no longer than a try each', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      let wedged = 0
      await announce(discovery, 'wedged', await tcp((socket) => socket.on('data', () => wedged++)))
      await announce(discovery, 'alive', await instance(says('alive')))
      await discovery.find('api')
      const dispatcher = agent(discovery, { balancer: 'round-robin', tryTimeout: '1s' })
      for (let n = 0; n < 20; n++) {
        const before = wedged
        let isAnswered = false
        const answer = request('http://api.seamark/', { dispatcher }).then(({ body }) => {
          isAnswered = true
          return body.text()
        })
        await expect.poll(() => isAnswered || wedged > before, { interval: 1 }).toBe(true)
        if (wedged > before) await clock.advance(1_000)
        expect(await answer).toBe('alive')
      }
      expect(wedged).toBe(5)
    })

    it('at once is not the one that seems to be the fastest', async () => {
      const discovery = registry()
      for (const id of ['dead', 'too']) await announce(discovery, id, await deadPort())
      await announce(discovery, 'alive', await instance(says('alive')))
      await discovery.find('api')
      const dispatcher = agent(discovery, { retryBudget: { share: 0, perSecond: 10 } })
      for (let n = 0; n < 100; n++)
        expect(await (await request('http://api.seamark/', { dispatcher })).body.text()).toBe('alive')
    })

    it('is not ejected when too many are', async () => {
      const discovery = registry()
      const ports = await Promise.all([1, 2, 3, 4].map(() => instance(says('wrong', 500))))
      for (const [index, port] of ports.entries()) await announce(discovery, `i${index}`, port)
      await discovery.find('api')
      const dispatcher = agent(discovery)
      for (let n = 0; n < 50; n++) {
        const { statusCode, body } = await request('http://api.seamark/', { dispatcher })
        await body.dump()
        expect(statusCode).toBe(500)
      }
    })
  })

  it('is told of its own mistakes as they are, and no instance is blamed', async () => {
    const discovery = registry()
    await announce(discovery, 'a', await instance(says('fine')))
    await discovery.find('api')
    const dispatcher = agent(discovery)
    for (let n = 0; n < 6; n++)
      await expect(
        request('http://api.seamark/', { dispatcher, headers: { 'x-a': 'line\nline' } }),
      ).rejects.toMatchObject({ code: 'UND_ERR_INVALID_ARG' })
    const { statusCode, body } = await request('http://api.seamark/', { dispatcher })
    await body.dump()
    expect(statusCode).toBe(200)
  })

  describe('time', () => {
    it('is up after the timeout of the whole request, and the error says what was tried', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      let asked = 0
      for (const id of ['a', 'b', 'c'])
        await announce(discovery, id, await tcp((socket) => socket.on('data', () => asked++)))
      await discovery.find('api')
      const dispatcher = agent(discovery, { tryTimeout: '1s', timeout: '1500ms' })
      const answer = request('http://api.seamark/', { dispatcher }).catch((error) => error)
      await expect.poll(() => asked).toBe(1)
      await clock.advance(1_000)
      await expect.poll(() => asked).toBe(2)
      await clock.advance(500)
      expect(await answer).toMatchObject({ code: 'timeout', details: { attempts: [{}] } })
    })

    it('is not up while a body flows, and is when it does not', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      let received = 0
      const port = await instance((request, response) => {
        request.on('data', (chunk) => {
          received += chunk.length
        })
        request.on('error', () => {})
        request.on('end', () => response.end(String(received)))
      })
      await announce(discovery, 'a', port)
      await discovery.find('api')
      const dispatcher = agent(discovery, { tryTimeout: '1s' })
      const post = (body: Readable) => request('http://api.seamark/', { dispatcher, method: 'POST', body })
      const whole = new Readable({ read() {} })
      const answer = post(whole)
      for (let n = 1; n <= 5; n++) {
        whole.push('x')
        await expect.poll(() => received, { interval: 1 }).toBe(n)
        await clock.advance(900)
      }
      whole.push(null)
      expect(await (await answer).body.text()).toBe('5')
      const half = new Readable({ read() {} })
      const broken = post(half).catch((error) => error)
      half.push('x')
      await expect.poll(() => received).toBe(6)
      await clock.advance(1_000)
      expect((await broken).cause).toMatchObject({ code: 'timeout' })
      expect(half.destroyed).toBe(true)
    })

    it('is not lost on one that is slow, when another is asked as well', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      const slow: ServerResponse[] = []
      const slowPort = await instance((_, response) => slow.push(response))
      await announce(discovery, 'slow', slowPort)
      await announce(discovery, 'fast', await instance(says('fast')))
      await discovery.find('api')
      const dispatcher = agent(discovery, { balancer: 'round-robin', hedgeAfter: '100ms' })
      const answers = [1, 2].map(async () =>
        (await request('http://api.seamark/', { dispatcher })).body.text(),
      )
      await expect.poll(() => slow.length).toBe(1)
      await clock.advance(100)
      expect(await Promise.all(answers)).toEqual(['fast', 'fast'])
      await once(slow[0]!, 'close')
    })

    it('is given to the other of two that are asked when one has no answer', async () => {
      const clock = fakeClock()
      const discovery = registry({ clock })
      const asked: ServerResponse[] = []
      const port = await instance((_, response) => asked.push(response))
      for (const id of ['a', 'b']) await announce(discovery, id, port)
      await discovery.find('api')
      const dispatcher = agent(discovery, { hedgeAfter: '100ms' })
      const answer = request('http://api.seamark/', { dispatcher })
      await expect.poll(() => asked.length).toBe(1)
      await clock.advance(100)
      await expect.poll(() => asked.length).toBe(2)
      asked[1]!.writeHead(503).end('busy')
      await once(asked[1]!, 'close')
      asked[0]!.end('slow')
      expect(await (await answer).body.text()).toBe('slow')
    })
  })

  describe('a caller who loses interest', () => {
    it('ends the request at the instance, and nothing is tried again', async () => {
      const discovery = registry()
      const arrived: ServerResponse[] = []
      const port = await instance((_, response) => arrived.push(response))
      for (const id of ['a', 'b']) await announce(discovery, id, port)
      await discovery.find('api')
      const controller = new AbortController()
      const answer = request('http://api.seamark/', {
        dispatcher: agent(discovery),
        signal: controller.signal,
      })
      await expect.poll(() => arrived.length).toBe(1)
      controller.abort(new Error('bored'))
      await expect(answer).rejects.toThrow('bored')
      await once(arrived[0]!, 'close')
      expect(arrived).toHaveLength(1)
    })

    it('hears of an answer that breaks off in the middle', async () => {
      const discovery = registry()
      const port = await instance((_, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('half')
        setImmediate(() => response.destroy())
      })
      await announce(discovery, 'a', port)
      await announce(discovery, 'b', port)
      const { body } = await request('http://api.seamark/', { dispatcher: agent(discovery) })
      await expect(text(body)).rejects.toThrow()
    })
  })

  describe('upgrades', () => {
    it('go through', async () => {
      const discovery = registry()
      const port = await tcp((socket) =>
        socket.once('data', () => {
          socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n')
          socket.pipe(socket)
        }),
      )
      await announce(discovery, 'a', port)
      const { socket } = await agent(discovery).upgrade({
        path: '/',
        protocol: 'echo',
        origin: 'http://api.seamark',
      } as never)
      socket.write('hello')
      const [chunk] = await once(socket, 'data')
      expect(String(chunk)).toBe('hello')
      socket.destroy()
    })
  })
})

it.each([
  ['suffix', { suffix: 'seamark' }],
  ['tries', { tries: 0 }],
  ['balancer', { balancer: 'best' as never }],
  ['panic', { panic: 2 }],
  ['subset', { subset: 0 }],
  ['tryTimeout', { tryTimeout: 'soon' as never }],
  ['outliers/failures', { outliers: { failures: 0 } }],
  ['retryBudget/share', { retryBudget: { share: -1 } }],
  ['zone', { zone: 5 as never }],
  ['key', { balancer: 'affinity' as const }],
  ['version', { filters: { api: { version: 'zz' } } }],
  ['retires', { retires: 3 } as never],
])('names the option %s when it is wrong', (field, options) => {
  expect(() => interceptor(registry(), options)).toThrow(
    expect.objectContaining({ code: 'invalid_field', field }),
  )
})

it('says that a service which is wanted over TLS has none', async () => {
  const discovery = registry()
  await announce(discovery, 'a', await instance(says('a')))
  const asked = request('https://api.seamark/', { dispatcher: own(discovery) })
  await expect(asked).rejects.toMatchObject({
    code: 'no_match',
    message: 'api is not served over HTTPS: a has the scheme "http".',
  })
})
