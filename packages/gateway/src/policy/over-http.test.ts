import type { RequestListener } from 'node:http'
import { describe, expect, it } from 'vitest'
import { opened, origin } from '../../test/opened-gateway.ts'

/** A gateway with a policy for the service "api", before an instance that answers as it is told to. */
async function guarded(policy: object) {
  let listener: RequestListener = (_request, response) => response.end('good')
  let asked = 0
  const api = await origin((request, response) => {
    asked++
    listener(request, response)
  })
  const gateway = await opened({ file: { services: { api: policy } } })
  const deregister = await gateway.register({ port: api.port, version: '1.0.0' })
  return {
    gateway,
    deregister,
    asked: () => asked,
    answers(next: RequestListener) {
      listener = next
    },
    async get(path = '/', init: RequestInit = {}) {
      const response = await fetch(gateway.url + path, init)
      const { headers, status } = response
      return {
        status,
        text: await response.text(),
        header: (name: string) => headers.get(name),
      }
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await api[Symbol.asyncDispose]()
    },
  }
}

const code = ({ text }: { readonly text: string }) => JSON.parse(text).error.code

describe('through a gateway', () => {
  it('a client that asks too fast is told when to come back', async () => {
    await using shop = await guarded({ rate: { requests: 2, per: '1h' } })
    expect([(await shop.get()).text, (await shop.get()).text]).toEqual(['good', 'good'])
    const refused = await shop.get()
    expect([refused.status, code(refused), refused.header('retry-after')]).toEqual([429, 'too_many', '1800'])
    expect(shop.asked()).toBe(2)
  })

  it('a stream takes a place until its last byte is through', async () => {
    await using shop = await guarded({ concurrency: 1 })
    let finish!: () => void
    shop.answers((_request, response) => {
      response.write('be')
      finish = () => response.end('gun')
    })
    const stream = await fetch(shop.gateway.url)
    const refused = await shop.get()
    expect([refused.status, code(refused)]).toEqual([503, 'overloaded'])
    finish()
    expect(await stream.text()).toBe('begun')
    shop.answers((_request, response) => response.end('next'))
    expect((await shop.get()).text).toBe('next')
  })

  it('a stream that the client leaves gives its place back', async () => {
    await using shop = await guarded({ concurrency: 1 })
    const left = new Promise((resolve) => {
      shop.answers((_request, response) => {
        response.write('be')
        response.once('close', resolve)
      })
    })
    const leaving = new AbortController()
    await fetch(shop.gateway.url, { signal: leaving.signal })
    leaving.abort()
    await left
    shop.answers((_request, response) => response.end('next'))
    expect((await shop.get()).text).toBe('next')
  })

  it('a service that fails is left alone, and a fixed answer is given for it', async () => {
    await using shop = await guarded({
      circuit: { volume: 3, rest: '1h' },
      fallback: { type: 'static', body: 'Come back later.', status: 200 },
    })
    shop.answers((_request, response) => response.writeHead(500).end('bad'))
    for (let request = 0; request < 3; request++) expect((await shop.get()).text).toBe('bad')
    const instead = await shop.get()
    expect([instead.status, instead.text, shop.asked()]).toEqual([200, 'Come back later.', 3])
    expect(instead.header('cache-control')).toBe('no-store')
    expect(shop.gateway.notices.map(({ event }) => event)).toContain('circuit_opened')
  })

  it('a service that fails is left alone, and that is said', async () => {
    await using shop = await guarded({ circuit: { volume: 1, rest: '1h' } })
    shop.answers((_request, response) => response.writeHead(502).end())
    await shop.get()
    const refused = await shop.get('/', { method: 'POST', body: 'x' })
    expect([refused.status, code(refused), refused.header('retry-after')]).toEqual([
      503,
      'overloaded',
      '3600',
    ])
  })

  it('what a service said last is said again while nobody is there', async () => {
    await using shop = await guarded({ fallback: { type: 'last-good' } })
    shop.answers((request, response) => {
      response.setHeader('content-type', 'text/plain').end(`${request.url} is good`)
    })
    await shop.get('/a?b=1')
    await shop.deregister()
    const instead = await shop.get('/a?b=1')
    expect([instead.status, instead.text, instead.header('content-type')]).toEqual([
      200,
      '/a?b=1 is good',
      'text/plain',
    ])
    expect([instead.header('age'), instead.header('warning')]).toEqual(['0', '111 - "Revalidation Failed"'])
    const head = await shop.get('/a?b=1', { method: 'HEAD' })
    expect([head.status, head.text, head.header('content-length')]).toEqual([200, '', '14'])
    expect((await shop.get('/a?b=2')).status).toBe(503)
    expect((await shop.get('/a?b=1', { method: 'POST' })).status).toBe(503)
  })

  it('another service answers while nobody is there', async () => {
    await using shop = await guarded({ fallback: { type: 'service', service: 'spare' } })
    await using spare = await origin((request, response) =>
      response.end(`spare ${request.method} ${request.url}`),
    )
    await shop.gateway.register({ service: 'spare', port: spare.port, route: { path: '/spare' } })
    expect((await shop.get('/a')).text).toBe('good')
    await shop.deregister()
    expect((await shop.get('/a')).text).toBe('spare GET /a')
    expect((await shop.get('/a', { method: 'DELETE' })).text).toBe('spare DELETE /a')
  })

  it('a canary gets what is pinned to it, and all others the rest', async () => {
    await using shop = await guarded({
      canary: { select: { version: '^2' }, header: { name: 'x-canary', value: 'yes' } },
    })
    await using canary = await origin((_request, response) => response.end('canary'))
    const leave = await shop.gateway.register({ port: canary.port, version: '2.0.0' })
    const pinned = { headers: { 'x-canary': 'yes' } }
    for (let request = 0; request < 20; request++) {
      expect((await shop.get()).text).toBe('good')
      expect((await shop.get('/', pinned)).text).toBe('canary')
    }
    await leave()
    expect((await shop.get('/', pinned)).text).toBe('good')
  })
})
