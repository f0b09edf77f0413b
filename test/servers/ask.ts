import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import * as net from 'node:net'
import * as secured from 'node:tls'
import { tls } from './tls.ts'

/** What a TCP server of this machine says first after it was sent this. Rejects if it says nothing within 1 s. */
export async function ask(
  port: number,
  question: string | Uint8Array,
  { secure = false } = {},
): Promise<string> {
  const to = { port, host: '127.0.0.1' }
  const socket = secure ? secured.connect({ ...to, ca: readFileSync(tls.ca) }) : net.connect(to)
  try {
    socket.write(question)
    const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(1_000) })
    return String(answer)
  } finally {
    socket.destroy()
  }
}
