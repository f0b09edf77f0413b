import { expect, it } from 'vitest'
import { opened, origin } from '../../test/opened-gateway.ts'

it('sends a request on, and its answer back', async () => {
  await using api = await origin((request, response) => {
    response.setHeader('x-from', 'api')
    let text = ''
    request.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
    request.on('end', () =>
      response.end(`${request.method} ${request.url} ${text} ${JSON.stringify(request.headers)}`),
    )
  })
  await using gateway = await opened()
  await gateway.register({ port: api.port })
  for (let n = 0; n < 3; n++) {
    const response = await fetch(`${gateway.url}/tickets/7?a=1`)
    expect(response.status).toBe(200)
    expect(response.headers.get('x-from')).toBe('api')
    const text = await response.text()
    expect(text).toContain('GET /tickets/7?a=1 ')
  }
  const response = await fetch(`${gateway.url}/tickets/7?a=1`, { method: 'POST', body: 'hello' })
  console.log(await response.text())
  const response2 = await fetch(`${gateway.url}/tickets/7?a=1`, {
    method: 'POST',
    body: new ReadableStream({
      start(c) {
        c.enqueue(new TextEncoder().encode('hello'))
        c.close()
      },
    }),
    duplex: 'half',
  } as never)
  console.log(await response2.text())
  console.log(await gateway.logged((line) => line.method === 'POST'))
})
