import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type Line, line } from '../../../test/servers/line.ts'

/** A way to a DNS server, over UDP and TCP, that a test can break, or lead to another server. */
export interface Relay extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly address: string
  /** From now on, questions go to this port. Those that are under way are answered by whom they were sent to. */
  lead(port: number): void
  /** What is under way is lost. */
  cut(): void
}

export async function relay(target: number): Promise<Relay> {
  const [way, udp] = await samePort(target)
  const asking = new Set<Socket>()
  let leading = target
  udp.on('message', (bytes, from) => {
    const socket = createSocket('udp4')
    asking.add(socket)
    const end = () => {
      if (asking.delete(socket)) socket.close()
    }
    socket.on('error', end)
    socket.on('message', (answer) => {
      udp.send(answer, from.port, from.address)
      end()
    })
    socket.send(bytes, leading, '127.0.0.1')
  })
  const cut = () => {
    for (const socket of asking) socket.close()
    asking.clear()
    way.cut()
  }
  return {
    address: `127.0.0.1:${way.port}`,
    lead(port) {
      leading = port
      way.lead(port)
    },
    cut,
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise<void>((resolve) => udp.close(resolve))
      await way[Symbol.asyncDispose]()
    },
  }
}

/** A port that is free for both. */
async function samePort(target: number): Promise<[Line, Socket]> {
  for (;;) {
    const way = await line(target)
    const udp = createSocket('udp4')
    try {
      udp.bind(way.port, '127.0.0.1')
      await once(udp, 'listening')
      return [way, udp]
    } catch {
      udp.close()
      await way[Symbol.asyncDispose]()
    }
  }
}
