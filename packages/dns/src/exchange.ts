import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { type Query, type Reply, reply } from './message.ts'

export interface Address {
  /** An IP address. */
  readonly host: string
  readonly port: number
}

/** How to ask: in a datagram, and over TCP when the answer does not fit into one; or over TCP at once. */
export type Transport = 'udp' | 'tcp'

/** What a reader makes of what arrives; `undefined`: it is the answer to something else. Throws when it cannot be read. */
type Read<T> = (bytes: Buffer) => T | undefined

/**
 * Sends a query and waits for the answer. Each time from a port of
 * its own, at random, and connected, so that the system drops what others send. Rejects when that fails, and with the
 * signal's reason when it aborts. Does not keep the process alive.
 */
export async function exchange(
  address: Address,
  query: Query,
  transport: Transport,
  signal: AbortSignal,
): Promise<Reply> {
  const read = (bytes: Buffer) => reply(query, bytes)
  if (transport === 'udp') {
    const answer = await exchangeBytes(address, query.bytes, read, 'udp', signal)
    if (!answer.truncated) return answer
  }
  const answer = await exchangeBytes(address, query.bytes, read, 'tcp', signal)
  if (answer.truncated) throw unreadable(new Error('It is truncated, although there is room.'))
  return answer
}

/** The same, for a message that is not looked into, and whatever is read from the answer. */
export function exchangeBytes<T>(
  address: Address,
  message: Buffer,
  read: Read<T>,
  transport: Transport,
  signal: AbortSignal,
): Promise<T> {
  return (transport === 'udp' ? overUdp : overTcp)(address, message, read, signal)
}

function overUdp<T>(
  { host, port }: Address,
  message: Buffer,
  read: Read<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4').unref()
    let open = true
    const end = (settle: () => void) => {
      if (!open) return
      open = false
      signal.removeEventListener('abort', abort)
      socket.close()
      settle()
    }
    const fail = (error: unknown) => end(() => reject(error))
    const abort = () => fail(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    socket.on('error', fail)
    socket.on('message', (bytes) => {
      try {
        const answer = read(bytes)
        if (answer !== undefined) end(() => resolve(answer))
      } catch (error) {
        fail(unreadable(error))
      }
    })
    socket.connect(port, host, (error?: Error | null) => {
      if (error) fail(error)
      else if (open) socket.send(message, (error) => error && fail(error))
    })
  })
}

/** Each message is led by its length, in two bytes (RFC 1035, 4.2.2). */
function overTcp<T>(
  { host, port }: Address,
  message: Buffer,
  read: Read<T>,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = connect({ host, port }).unref()
    const end = (settle: () => void) => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      settle()
    }
    const fail = (error: unknown) => end(() => reject(error))
    const abort = () => fail(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    let received = Buffer.alloc(0)
    socket.on('error', fail)
    socket.on('close', () => fail(new Error('It closed the connection before its answer was whole.')))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
      try {
        const answer = read(received.subarray(2, 2 + received.readUInt16BE(0)))
        if (answer === undefined) throw new Error('It is the answer to another question.')
        end(() => resolve(answer))
      } catch (error) {
        fail(unreadable(error))
      }
    })
    socket.write(framed(message))
  })
}

/** As it is written over TCP. */
export function framed(message: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(2 + message.length)
  frame.writeUInt16BE(message.length)
  frame.set(message, 2)
  return frame
}

function unreadable(cause: unknown): Error {
  return new Error(`its answer cannot be read (${cause instanceof Error ? cause.message : cause})`, { cause })
}
