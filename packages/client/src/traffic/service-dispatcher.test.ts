import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { type Duplex, PassThrough, Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { TLSSocket } from 'node:tls'
import { type Dispatcher, errors, interceptors, request, WebSocket } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import { certificate, key } from '../../test/certificate.ts'
import { announce, closed, closing, instance, registry, says, tcp } from '../../test/instances.ts'
import type { Discovery } from '../discovery.ts'
import { type DispatcherOptions, dispatcher, type ServiceDispatcher } from './service-dispatcher.ts'

afterEach(closed)

function own(discovery: Discovery, options?: DispatcherOptions): ServiceDispatcher {
  const own = dispatcher(discovery, options)
  closing.push(() => own.destroy())
  return own
}

const get = { origin: 'http://api.seamark', path: '/', method: 'GET' } as const

/** Notes what it is told, in undici's own way. */
class Native {
  readonly calls: unknown[][] = []
  readonly ended: Promise<void>
  abort: ((reason?: Error) => void) | undefined
  resume: (() => void) | undefined
  #end!: () => void
  readonly #flows: boolean

  constructor({ flows = true } = {}) {
    this.#flows = flows
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  onConnect(abort: (reason?: Error) => void) {
    this.abort = abort
    this.calls.push(['connect'])
  }

  onHeaders(status: number, headers: Buffer[], resume: () => void, statusText: string) {
    this.resume = resume
    this.calls.push(['headers', status, statusText, headers])
    return this.#flows
  }

  onData(chunk: Buffer) {
    this.calls.push(['data', String(chunk)])
    return true
  }

  onComplete(trailers: unknown) {
    this.calls.push(['complete', trailers])
    this.#end()
  }

  onError(error: Error) {
    this.calls.push(['error', error])
    this.#end()
  }
}

/** The same in the way of undici's interceptors. */
class Controlled implements Dispatcher.DispatchHandler {
  readonly calls: unknown[][] = []
  readonly ended: Promise<void>
  controller: Dispatcher.DispatchController | undefined
  #end!: () => void

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  onRequestStart(controller: Dispatcher.DispatchController) {
    this.controller = controller
    this.calls.push(['start'])
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: object,
    message?: string,
  ) {
    this.calls.push(['response', status, message, headers, controller.rawHeaders])
    controller.pause()
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer) {
    this.calls.push(['data', String(chunk)])
  }

  onResponseEnd(_: Dispatcher.DispatchController, trailers: object) {
    this.calls.push(['end', trailers])
    this.#end()
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error) {
    this.calls.push(['error', error])
    this.#end()
  }
}

/** Answers with cookies, in two pieces, and a trailer. */
const full = (_: IncomingMessage, response: ServerResponse) => {
  response.sendDate = false
  response.shouldKeepAlive = false
  response.writeHead(200, ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=ü', 'Trailer', 'X-Sum'])
  response.write('one')
  response.addTrailers({ 'X-Sum': '3' })
  response.end()
}

async function served(handler = full): Promise<Discovery> {
  const discovery = registry()
  await announce(discovery, 'a', await instance(handler))
  await discovery.find('api')
  return discovery
}

describe("undici's own handlers", () => {
  it('hear what an instance says as it says it', async () => {
    const handler = new Native()
    own(await served()).dispatch(get, handler as never)
    await handler.ended
    const headers = handler.calls[1]![3] as Buffer[]
    expect(headers.every((each) => Buffer.isBuffer(each))).toBe(true)
    expect(headers.slice(0, 6).map((each) => each.toString('latin1'))).toEqual([
      ...['Set-Cookie', 'a=1', 'Set-Cookie', 'b=ü', 'Trailer', 'X-Sum'],
    ])
    const trailers = handler.calls.at(-1)![1] as Buffer[]
    expect(trailers.map(String)).toEqual(['X-Sum', '3'])
    expect(handler.calls.map(([name]) => name)).toEqual(['connect', 'headers', 'data', 'complete'])
  })

  it('can hold a body back', async () => {
    const handler = new Native({ flows: false })
    own(await served()).dispatch(get, handler as never)
    await expect.poll(() => handler.calls.length).toBe(2)
    handler.resume!()
    await handler.ended
    expect(handler.calls.map(([name]) => name)).toEqual(['connect', 'headers', 'data', 'complete'])
  })

  it('can abort before there is a connection, and hear of it once', async () => {
    const handler = new Native()
    const error = new Error('enough')
    own(await served()).dispatch(get, handler as never)
    handler.abort!(error)
    handler.abort!(new Error('more than enough'))
    expect(handler.calls).toEqual([['connect'], ['error', error]])
  })

  it('that abort nothing any more after the end', async () => {
    const handler = new Native()
    own(await served()).dispatch(get, handler as never)
    await handler.ended
    handler.abort!()
    expect(handler.calls.at(-1)![0]).toBe('complete')
  })
})

describe('handlers with a controller', () => {
  it('hear the same, and can hold a body back', async () => {
    const handler = new Controlled()
    own(await served()).dispatch(get, handler)
    await expect.poll(() => handler.calls.length).toBe(2)
    expect(handler.calls[1]!.slice(0, 4)).toEqual([
      ...['response', 200, 'OK'],
      expect.objectContaining({ 'set-cookie': ['a=1', 'b=ü'] }),
    ])
    expect((handler.calls[1]![4] as Buffer[]).slice(0, 2).map(String)).toEqual(['Set-Cookie', 'a=1'])
    handler.controller!.resume()
    await handler.ended
    expect(handler.calls.slice(2)).toEqual([
      ['data', 'one'],
      ['end', { 'x-sum': '3' }],
    ])
  })

  it('can abort', async () => {
    const handler = new Controlled()
    own(await served((_, response) => response.flushHeaders())).dispatch(get, handler)
    await expect.poll(() => handler.calls.length).toBe(2)
    const error = new Error('enough')
    handler.controller!.abort(error)
    await handler.ended
    expect(handler.calls.at(-1)).toEqual(['error', error])
    expect(handler.controller).toMatchObject({ aborted: true, reason: error })
  })
})

it('refuses a handler that is none', async () => {
  expect(() => own(registry()).dispatch(get, {} as never)).toThrow(errors.InvalidArgumentError)
})

describe('all ways of undici', () => {
  it('work: request, stream, pipeline', async () => {
    const dispatcher = own(await served((request, response) => request.pipe(response)))
    const post = { ...get, method: 'POST' } as const
    expect(await (await dispatcher.request({ ...post, body: 'requested' })).body.text()).toBe('requested')
    const streamed = new PassThrough()
    await dispatcher.stream({ ...post, body: 'streamed' }, () => streamed)
    expect(await text(streamed)).toBe('streamed')
    const piped = dispatcher.pipeline(post, ({ body }) => body)
    piped.end('piped')
    expect(await text(piped)).toBe('piped')
  })

  it('work: a tunnel', async () => {
    const discovery = registry()
    const port = await tcp((socket) =>
      socket.once('data', (head) => {
        socket.write(`HTTP/1.1 200 OK\r\n\r\n${String(head).split('\r\n')[0]} `)
        socket.pipe(socket)
      }),
    )
    await announce(discovery, 'a', port)
    const { socket } = await own(discovery).connect({ origin: get.origin, path: 'example.com:443' })
    socket.end('through')
    expect(await text(socket)).toBe('CONNECT example.com:443 HTTP/1.1 through')
  })

  it('work: a web socket', async () => {
    const discovery = registry()
    const port = await tcp((socket) =>
      socket.once('data', (head) => {
        const key = /sec-websocket-key: (.*)\r/i.exec(String(head))?.[1]
        const accept = createHash('sha1')
          .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
          .digest('base64')
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
        )
        socket.write(Buffer.from([0x81, 5, ...Buffer.from('hello')]))
      }),
    )
    await announce(discovery, 'a', port)
    const dispatcher = own(discovery)
    expect(dispatcher).toMatchObject({
      webSocketOptions: { maxPayloadSize: expect.any(Number) },
      eventSourceOptions: { maxEventSize: expect.any(Number) },
    })
    const socket = new WebSocket('ws://api.seamark/', { dispatcher })
    const [{ data }] = await once(socket as never, 'message')
    expect(data).toBe('hello')
  })

  it("work: the fetch of Node.js, with undici's own handlers of another version", async () => {
    const dispatcher = own(await served(says('fetched')))
    const answer = await globalThis.fetch('http://api.seamark/', { dispatcher } as object)
    expect(await answer.text()).toBe('fetched')
  })

  it('work: interceptors on top', async () => {
    const dispatcher = own(
      await served((request, response) =>
        request.url === '/'
          ? response.writeHead(302, { location: '/there' }).end()
          : response.end(request.url),
      ),
    ).compose(interceptors.redirect({ maxRedirections: 1 }))
    expect(await (await dispatcher.request(get)).body.text()).toBe('/there')
  })

  it('tell of what comes before an answer', async () => {
    const dispatcher = own(
      await served((_, response) => {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' })
        response.end('late')
      }),
    )
    const hints: unknown[] = []
    const { body } = await dispatcher.request({ ...get, onInfo: (info) => hints.push(info.statusCode) })
    expect([await body.text(), hints]).toEqual(['late', [103]])
  })
})

describe('a body', () => {
  const piece = Buffer.alloc(65_536, 'x')
  /** Far more than sockets hold on both sides. */
  const pieces = 1_000

  /** As long as somebody takes it. */
  function endless(taken: { count: number }): Readable {
    return new Readable({
      read() {
        taken.count++
        this.push(taken.count > pieces ? null : piece)
      },
    })
  }

  /** What it is once it does not change any more. */
  async function settled(read: () => number): Promise<number> {
    let last = -1
    await expect
      .poll(
        () => {
          const before = last
          last = read()
          return last > 0 && last === before
        },
        { interval: 100 },
      )
      .toBe(true)
    return last
  }

  it('that nobody reads is not sent', async () => {
    const sent = { count: 0 }
    const discovery = await served((_, response) => {
      pipeline(endless(sent), response).catch(() => {})
    })
    const { body } = await own(discovery).request(get)
    expect(await settled(() => sent.count)).toBeLessThan(pieces)
    expect((await buffer(body)).length).toBe(pieces * piece.length)
  })

  it('that an instance does not read is not taken', async () => {
    const taken = { count: 0 }
    const arrived: [IncomingMessage, ServerResponse][] = []
    const discovery = await served((request, response) => {
      arrived.push([request, response])
    })
    const answer = own(discovery).request({ ...get, method: 'POST', body: endless(taken) })
    expect(await settled(() => taken.count)).toBeLessThan(pieces)
    const [[incoming, response]] = arrived as [[IncomingMessage, ServerResponse]]
    const { length } = await buffer(incoming)
    response.end(String(length))
    expect(await (await answer).body.text()).toBe(String(pieces * piece.length))
  })

  it('that its reader gives up ends at the instance', async () => {
    const closed: Promise<unknown>[] = []
    const discovery = await served((_, response) => {
      closed.push(once(response, 'close'))
      response.write('first')
    })
    const controller = new AbortController()
    const { body } = await own(discovery).request({ ...get, signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(text(body)).rejects.toThrow('enough')
    await closed[0]
  })

  it('that breaks while it is sent fails the request, and is not sent again', async () => {
    let asked = 0
    const discovery = await served((request) => {
      asked++
      request.on('error', () => {})
    })
    await announce(
      discovery,
      'b',
      await instance((request) => {
        asked++
        request.on('error', () => {})
      }),
    )
    const body = new Readable({ read() {} })
    body.push('half')
    const answer = own(discovery).request({ ...get, method: 'PUT', body })
    await expect.poll(() => asked).toBe(1)
    body.destroy(new Error('torn'))
    await expect(answer).rejects.toThrow('torn')
    expect(asked).toBe(1)
  })
})

it('asks an instance with TLS for the name that it was asked for', async () => {
  const server = createServer({ key, cert: certificate }, (request, response) =>
    response.end(
      `${(request.socket as TLSSocket & { servername: string }).servername} ${request.headers.host}`,
    ),
  )
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const discovery = registry()
  const { port } = server.address() as AddressInfo
  await announce(discovery, 'a', port, { scheme: 'https' })
  const dispatcher = own(discovery, { connect: { ca: certificate } })
  for (const scheme of ['https', 'http']) {
    const { body } = await request(`${scheme}://api.seamark/`, { dispatcher })
    expect(await body.text()).toBe('api.seamark api.seamark')
  }
  await expect(request('https://api.default.seamark/', { dispatcher })).rejects.toMatchObject({
    code: 'attempts_failed',
    cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
  })
})

describe('a dispatcher that is closed', () => {
  it('waits for what is under way, and takes nothing more', async () => {
    const responses: ServerResponse[] = []
    const discovery = await served((_, response) => {
      responses.push(response)
    })
    const dispatcher = own(discovery)
    const answer = dispatcher.request(get)
    await expect.poll(() => responses.length).toBe(1)
    let isClosed = false
    const end = dispatcher.close().then(() => {
      isClosed = true
    })
    await expect(dispatcher.request(get)).rejects.toBeInstanceOf(errors.ClientClosedError)
    expect([dispatcher.closed, isClosed]).toEqual([true, false])
    responses[0]!.end('answered')
    expect(await (await answer).body.text()).toBe('answered')
    await end
    await new Promise<void>((resolve) => dispatcher.close(resolve))
  })

  it('lets requests find another instance to the end', async () => {
    const discovery = registry()
    const sockets: Duplex[] = []
    await announce(discovery, 'a', await tcp((socket) => sockets.push(socket)))
    await discovery.find('api')
    const dispatcher = own(discovery)
    const answer = dispatcher.request(get)
    await expect.poll(() => sockets.length).toBe(1)
    await announce(discovery, 'b', await instance(says('other')))
    await discovery.waitFor('api')
    const end = dispatcher.close()
    sockets[0]!.destroy()
    expect(await (await answer).body.text()).toBe('other')
    await end
  })

  it('ends everything when it is destroyed, also what waits for the registry', async () => {
    const discovery = registry()
    await announce(discovery, 'a', await tcp(() => {}))
    await discovery.find('api')
    const dispatcher = own(discovery)
    const answers = [
      dispatcher.request(get),
      dispatcher.request({ ...get, origin: 'http://unheard-of.seamark' }),
    ]
    const results = Promise.allSettled(answers)
    const reason = new Error('over')
    await dispatcher.destroy(reason)
    expect(await results).toEqual([
      { status: 'rejected', reason },
      { status: 'rejected', reason },
    ])
    await expect(dispatcher.request(get)).rejects.toBeInstanceOf(errors.ClientDestroyedError)
    expect(dispatcher.destroyed).toBe(true)
  })

  it('is closed with nothing under way at once', async () => {
    const dispatcher = own(await served(says('here')))
    await (await dispatcher.request(get)).body.dump()
    await dispatcher.close()
  })
})
