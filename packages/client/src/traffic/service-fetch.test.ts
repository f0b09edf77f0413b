import { Readable } from 'node:stream'
import { isSeamarkError } from '@seamark/core'
import { MockAgent } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import {
  announce,
  closed,
  closing,
  deadPort,
  type Handler,
  instance,
  registry,
  says,
  tcp,
} from '../../test/instances.ts'
import { connect } from '../connect.ts'

afterEach(closed)

const echo: Handler = ({ method, url, headers }, response) => {
  response.end(`${method} ${url} ${headers.host}`)
}

describe('what is fetched of a service', () => {
  it('arrives at an instance, which sees its own address as the host', async () => {
    const discovery = registry()
    const port = await instance(echo)
    await announce(discovery, 'a', port)
    const answer = await discovery.service('api').fetch('/path?q=1', { method: 'PUT', body: 'x' })
    expect(await answer.text()).toBe(`PUT /path?q=1 127.0.0.1:${port}`)
    expect(answer.url).toBe('http://api.default.seamark/path?q=1')
  })

  it('comes from those that fit', async () => {
    const discovery = registry()
    await announce(discovery, 'a', await instance(says('one')), { version: '1.0.0' })
    await announce(discovery, 'b', await instance(says('two')), { version: '2.0.0' })
    await announce(discovery, 'c', await instance(says('three')), { version: '2.1.0', scheme: 'tcp' })
    const api = discovery.service('api')
    for (let n = 0; n < 10; n++)
      expect(await (await api.fetch('/', {}, { version: '^2' })).text()).toBe('two')
    await expect(api.fetch('/', {}, { version: '^3' })).rejects.toMatchObject({ code: 'no_match' })
    await expect(api.fetch('/', {}, { version: '2.1.0' })).rejects.toThrow(
      'api is not served over HTTP: c has the scheme "tcp".',
    )
  })

  it('follows redirects within the service, and elsewhere', async () => {
    const discovery = registry()
    const elsewhere = await instance(echo)
    const port = await instance(({ url, headers }, response) => {
      const location =
        url === '/' ? '/within' : url === '/within' ? `http://${headers.host}/absolute` : undefined
      if (location !== undefined) response.writeHead(302, { location }).end()
      else response.writeHead(302, { location: `http://127.0.0.1:${elsewhere}/there` }).end()
    })
    await announce(discovery, 'a', port)
    const answer = await discovery.service('api').fetch('/')
    expect(await answer.text()).toBe(`GET /there 127.0.0.1:${elsewhere}`)
  })

  it('goes on with another instance, as long as it may be repeated', async () => {
    const discovery = registry()
    let busy = 0
    const busyPort = await instance((_, response) => {
      busy++
      response.writeHead(503).end('busy')
    })
    await announce(discovery, 'a', busyPort)
    await announce(discovery, 'b', await deadPort())
    const api = discovery.service('api')
    await discovery.find('api')
    const body = () => Readable.from(['once'])
    const answer = await api.fetch('/', { method: 'PUT', body: body(), duplex: 'half' })
    expect([await answer.text(), busy]).toEqual(['busy', 1])
    await announce(discovery, 'c', await instance(says('free')))
    await expect.poll(async () => (await api.findAll()).length).toBe(3)
    expect(await (await api.fetch('/')).text()).toBe('free')
  })

  it.each([
    ['text', () => 'a=ü'],
    ['parameters', () => new URLSearchParams({ a: 'ü' })],
    ['bytes', () => Buffer.from('xa=üx').subarray(1, -1)],
    ['a buffer', () => Uint8Array.from(Buffer.from('a=ü')).buffer],
  ])('may be repeated with a body of %s', async (name, body) => {
    const discovery = registry()
    let broken = 0
    const breaking = await tcp((socket) =>
      socket.once('data', () => {
        broken++
        socket.destroy()
      }),
    )
    await announce(discovery, 'a', breaking)
    await announce(discovery, 'b', await instance((request, response) => request.pipe(response)))
    await discovery.find('api')
    const api = discovery.service('api')
    const init = () => ({ method: 'PUT', body: body() })
    for (const send of [
      () => api.fetch('/', init()),
      () => discovery.fetch('http://api.seamark/', init()),
      () => discovery.fetch('http://api.seamark/', init()),
    ])
      expect(await (await send()).text()).toBe(name === 'parameters' ? 'a=%C3%BC' : 'a=ü')
    expect(broken).toBeGreaterThan(0)
  })

  it('says with what it failed at whom', async () => {
    const discovery = registry()
    for (const id of ['a', 'b']) await announce(discovery, id, await deadPort())
    await discovery.find('api')
    const { cause } = await discovery
      .service('api')
      .fetch('/')
      .catch((error) => error)
    expect(isSeamarkError(cause, 'attempts_failed')).toBe(true)
    expect(cause.details.attempts.map(({ instance }: { instance: string }) => instance).sort()).toEqual([
      'a',
      'b',
    ])
  })

  it('goes through a dispatcher of the caller', async () => {
    const discovery = registry()
    await announce(discovery, 'a', 1234)
    const mocks = new MockAgent()
    closing.push(() => mocks.close())
    mocks.disableNetConnect()
    mocks
      .get('http://127.0.0.1:1234')
      .intercept({ path: '/', method: 'POST', body: 'x' })
      .reply(200, 'mocked')
    const answer = await discovery.service('api').fetch('/', { method: 'POST', body: 'x', dispatcher: mocks })
    expect(await answer.text()).toBe('mocked')
  })
})

describe('a discovery', () => {
  it('fetches and requests by name, as its options say', async () => {
    const discovery = registry({ namespace: 'shop', traffic: { suffix: '.internal', tries: 1 } })
    await announce(discovery, 'a', await instance(echo))
    expect(await (await discovery.fetch('http://api.internal/a')).text()).toBe('GET /a api.internal')
    const { body } = await discovery.request('http://api.shop.internal/b', { method: 'POST' })
    expect(await body.text()).toBe('POST /b api.shop.internal')
    const plain = await instance(says('elsewhere'))
    expect(await (await discovery.fetch(`http://127.0.0.1:${plain}/`)).text()).toBe('elsewhere')
    await announce(discovery, 'b', await deadPort(), { name: 'dead' })
    await expect(discovery.request('http://dead.internal/')).rejects.toMatchObject({
      details: { attempts: [{ instance: 'b' }] },
    })
  })

  it('names the option that is wrong', () => {
    expect(() => connect('memory:', { traffic: { suffix: 'internal' } })).toThrow(
      expect.objectContaining({ code: 'invalid_field', field: 'suffix' }),
    )
  })

  it('sends nothing once it is closed', async () => {
    const discovery = registry()
    await announce(discovery, 'a', await instance(says('here')))
    expect((await discovery.fetch('http://api.seamark/')).status).toBe(200)
    await discovery.close()
    await expect(discovery.request('http://api.seamark/')).rejects.toMatchObject({
      code: 'UND_ERR_DESTROYED',
    })
    await expect(discovery.request('http://other.seamark/')).rejects.toMatchObject({ code: 'closed' })
  })
})
