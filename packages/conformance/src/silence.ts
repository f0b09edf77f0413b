import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

/** A place on this machine that takes connections and says nothing. */
export interface Silence extends AsyncDisposable {
  readonly url: string
}

export async function silence(): Promise<Silence> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    // Whoever gives up asking may do so in any manner.
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
