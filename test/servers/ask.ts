import { once } from 'node:events'
import { connect } from 'node:net'

/** What a TCP server of this machine says first after it was sent this. Rejects if it says nothing within 1 s. */
export async function ask(port: number, question: string | Uint8Array): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  try {
    socket.write(question)
    const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(1_000) })
    return String(answer)
  } finally {
    socket.destroy()
  }
}
