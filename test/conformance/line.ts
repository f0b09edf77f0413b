import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** The way to a server, that a test can cut: a TCP port that passes everything on. */
export interface Line extends AsyncDisposable {
  readonly url: string
  /** From now on, connections lead to that port of this machine; to none, they are refused at once. */
  lead(port: number | undefined): void
  /** Breaks every connection, as a cable that is pulled and a router that notices. */
  cut(): void
}

export async function line(): Promise<Line> {
  const sockets = new Set<Socket>()
  let target: number | undefined

  const proxy = createServer((near) => {
    if (target === undefined) return void near.resetAndDestroy()
    const far = connect(target, '127.0.0.1')
    near.setNoDelay()
    far.setNoDelay()
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.pipe(other)
      // A broken connection is what tests are after; the other end learns it, and that is all there is to do.
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo

  const self: Line = {
    url: `http://127.0.0.1:${port}`,
    lead(port) {
      target = port
    },
    cut() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    async [Symbol.asyncDispose]() {
      self.cut()
      proxy.close()
      await once(proxy, 'close')
    },
  }
  return self
}
