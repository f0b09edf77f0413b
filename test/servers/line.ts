import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way that bytes take: from the client to the server, or back. */
export type Direction = 'forth' | 'back'

/** The way to a server, that a test can break: a TCP port that passes everything on. */
export interface Line extends AsyncDisposable {
  readonly port: number
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** From now on, connections lead to that port of this machine; to none, they are refused at once. */
  lead(port: number | undefined): void
  /** Breaks every connection, as a cable that is pulled and a router that notices. */
  cut(): void
  /**
   * As a network that loses everything, and tells nobody: connections stay and new ones are accepted, but nothing passes
   * in these directions (default both), not even that an end has closed.
   */
  hold(...directions: Direction[]): void
  /** Ends that: what was held passes, as TCP would send it again. */
  release(): void
}

/** One direction of one connection. */
interface Way {
  readonly direction: Direction
  hold(): void
  release(): void
}

export async function line(to?: number): Promise<Line> {
  const sockets = new Set<Socket>()
  const ways = new Set<Way>()
  const held = new Set<Direction>()
  let target = to

  function way(direction: Direction, from: Socket, to: Socket): void {
    let holding = held.has(direction)
    let broken = false
    const self: Way = {
      direction,
      hold() {
        holding = true
        from.unpipe(to)
      },
      release() {
        if (!holding) return
        holding = false
        if (broken) to.resetAndDestroy()
        else from.pipe(to)
      },
    }
    ways.add(self)
    sockets.add(from)
    if (!holding) from.pipe(to)
    // A broken connection is what tests are after; the other end learns it, and that is all there is to do.
    from.on('error', () => undefined)
    from.on('close', (failed) => {
      sockets.delete(from)
      broken = failed
      if (!holding && failed) to.resetAndDestroy()
      else if (!holding) to.end()
    })
    to.on('close', () => ways.delete(self))
  }

  const proxy = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    if (target === undefined) return void near.resetAndDestroy()
    const far = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    way('forth', near, far)
    way('back', far, near)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo

  const self: Line = {
    port,
    url: `http://127.0.0.1:${port}`,
    lead(port) {
      target = port
    },
    cut() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    hold(...directions) {
      for (const direction of directions.length === 0 ? (['forth', 'back'] as const) : directions) {
        held.add(direction)
        for (const way of ways) if (way.direction === direction) way.hold()
      }
    },
    release() {
      held.clear()
      for (const way of [...ways]) way.release()
    },
    async [Symbol.asyncDispose]() {
      self.cut()
      proxy.close()
      await once(proxy, 'close')
    },
  }
  return self
}
