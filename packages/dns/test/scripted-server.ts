import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type Answer, decode, encode, type Packet } from 'dns-packet'

/** A question that arrived. */
export interface Asked {
  readonly name: string
  readonly type: string
  readonly transport: 'udp' | 'tcp'
  readonly edns: boolean
  readonly bytes: Buffer
  /** From which it came. */
  readonly port: number
  /** The answer to it, with whatever is to be different. */
  answer(fields?: Packet & { readonly code?: number }): Buffer
}

/** What to send back: nothing, a message, or several, each after the one before. */
export type Sent = Buffer | readonly Buffer[] | undefined

/** A DNS server that answers as a test tells it to, over UDP and TCP. */
export interface ScriptedServer extends AsyncDisposable {
  readonly host: string
  /** `127.0.0.1:PORT` */
  readonly address: string
  readonly port: number
  readonly asked: readonly Asked[]
}

export async function scriptedServer(
  script: (asked: Asked) => Sent | Promise<Sent>,
): Promise<ScriptedServer> {
  const asked: Asked[] = []
  const sockets = new Set<Socket>()
  let closed = false
  const tcp = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    let received = Buffer.alloc(0)
    socket.on('data', async (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return
      for (const message of await answers(received.subarray(2), 'tcp', socket.remotePort!)) {
        const length = Buffer.alloc(2)
        length.writeUInt16BE(message.length)
        // In pieces, as a network may deliver it.
        socket.write(Buffer.concat([length, message.subarray(0, 5)]))
        await new Promise((resolve) => setImmediate(resolve))
        socket.write(message.subarray(5))
      }
      socket.end()
    })
  })
  const { udp, port } = await samePort(tcp)
  udp.on('message', async (bytes, from) => {
    for (const message of await answers(bytes, 'udp', from.port))
      if (!closed) udp.send(message, from.port, from.address)
  })

  async function answers(
    bytes: Buffer,
    transport: Asked['transport'],
    port: number,
  ): Promise<readonly Buffer[]> {
    const { id = 0, questions = [], additionals = [] } = decode(bytes)
    const { name, type } = questions[0]!
    const question: Asked = {
      name,
      type,
      transport,
      edns: additionals.some((record) => record.type === 'OPT'),
      bytes,
      port,
      answer: ({ code = 0, flags = 0, ...fields } = {}) =>
        encode({ type: 'response', id, questions, flags: flags | code, ...fields }),
    }
    asked.push(question)
    return [(await script(question)) ?? []].flat()
  }

  return {
    host: '127.0.0.1',
    address: `127.0.0.1:${port}`,
    port,
    asked,
    async [Symbol.asyncDispose]() {
      closed = true
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => udp.close(resolve))
      await new Promise((resolve) => tcp.close(resolve))
    },
  }
}

/** Listens at a port that is free for both. */
async function samePort(tcp: Server): Promise<{ udp: UdpSocket; port: number }> {
  for (;;) {
    tcp.listen(0, '127.0.0.1')
    await once(tcp, 'listening')
    const { port } = tcp.address() as AddressInfo
    const udp = createSocket('udp4')
    try {
      udp.bind(port, '127.0.0.1')
      await once(udp, 'listening')
      return { udp, port }
    } catch {
      udp.close()
      await new Promise((resolve) => tcp.close(resolve))
    }
  }
}

export function a(name: string, address: string, ttl = 30): Answer {
  return { type: 'A', name, data: address, ttl, class: 'IN' }
}

export function soa(name: string, ttl: number, minimum = ttl): Answer {
  return {
    type: 'SOA',
    name,
    ttl,
    class: 'IN',
    data: { mname: 'ns.local', rname: 'root.local', serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
  }
}
