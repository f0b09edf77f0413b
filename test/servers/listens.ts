import { once } from 'node:events'
import { connect } from 'node:net'

/** Whether anybody accepts connections there. Throws if nobody does. */
export async function listens(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  try {
    await once(socket, 'connect')
    return true
  } finally {
    socket.destroy()
  }
}
