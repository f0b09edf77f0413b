import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Line, line } from './line.ts'

/** A busy machine may take its time. */
const until = (holds: () => boolean | undefined) => vi.waitUntil(holds, { timeout: 10_000, interval: 5 })

describe('line', () => {
  let server: Server
  let way: Line
  const accepted: Socket[] = []

  beforeEach(async () => {
    // Answers with what it is sent.
    server = createServer({ allowHalfOpen: true }, (socket) => {
      accepted.push(socket)
      socket.on('error', () => undefined)
      socket.pipe(socket)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    way = await line((server.address() as { port: number }).port)
  })

  afterEach(async () => {
    await way[Symbol.asyncDispose]()
    for (const socket of accepted.splice(0)) socket.destroy()
    server.close()
  })

  function client() {
    const socket = connect({ port: way.port, host: '127.0.0.1', allowHalfOpen: true })
    const seen = { text: '', ended: false, error: '' }
    socket.setEncoding('utf8').on('data', (text: string) => {
      seen.text += text
    })
    socket.on('end', () => {
      seen.ended = true
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      seen.error = error.code ?? ''
    })
    return { socket, seen }
  }

  it('passes what is sent both ways, and that an end is closed', async () => {
    const { socket, seen } = client()
    socket.end('hello')
    await until(() => seen.ended)
    expect(seen).toEqual({ text: 'hello', ended: true, error: '' })
  })

  it('breaks every connection', async () => {
    const { socket, seen } = client()
    socket.write('a')
    await until(() => seen.text === 'a')
    way.cut()
    await until(() => seen.error !== '')
    expect(seen.error).toBe('ECONNRESET')
    await until(() => accepted[0]?.destroyed)
  })

  it('refuses connections that lead nowhere', async () => {
    way.lead(undefined)
    const { seen } = client()
    await until(() => seen.error !== '')
    expect(seen.error).toBe('ECONNRESET')
  })

  it('holds what is sent to the server, and passes it on later', async () => {
    const { socket, seen } = client()
    socket.write('a')
    await until(() => seen.text === 'a')
    way.hold('forth')
    socket.write('b')
    accepted[0]?.write('from the server')
    await until(() => seen.text === 'afrom the server')
    way.release()
    await until(() => seen.text === 'afrom the serverb')
  })

  it('holds what the server answers, and passes it on later', async () => {
    const { socket, seen } = client()
    socket.write('a')
    await until(() => seen.text === 'a')
    way.hold('back')
    socket.write('b')
    await until(() => accepted[0]?.bytesRead === 2)
    expect(seen.text).toBe('a')
    way.release()
    await until(() => seen.text === 'ab')
  })

  it('accepts connections while it holds, and lets them through later', async () => {
    way.hold()
    const { socket, seen } = client()
    await once(socket, 'connect')
    socket.write('a')
    await until(() => accepted.length === 1)
    expect(seen.text).toBe('')
    way.release()
    await until(() => seen.text === 'a')
  })

  it('does not tell the server that a client is gone before the way is free again', async () => {
    const { socket, seen } = client()
    socket.write('a')
    await until(() => seen.text === 'a')
    way.hold()
    socket.resetAndDestroy()
    const other = client()
    await once(other.socket, 'connect')
    await until(() => accepted.length === 2)
    expect(accepted[0]?.readable).toBe(true)
    way.release()
    await until(() => accepted[0]?.destroyed)
    other.socket.destroy()
  })
})
