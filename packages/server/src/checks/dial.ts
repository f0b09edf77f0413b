import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { PinnedTarget } from './target-policy.ts'

/** Opens a TCP connection. Aborting the signal destroys the socket, also later. */
export async function dial({ host, port, lookup }: PinnedTarget, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ host, port, lookup, signal }).on('error', ignore)
  await once(socket, 'connect', { signal })
  return socket
}

/** As `dial`, with TLS on top: the certificate must be valid for the host, and the server speak the protocol. */
export async function dialTls(target: PinnedTarget, protocol: string, signal: AbortSignal): Promise<Socket> {
  const socket = await dial(target, signal)
  const secured = connectTls({
    socket,
    host: target.host,
    ALPNProtocols: [protocol],
    // A server name is a name, never an address (RFC 6066, 3).
    ...(isIP(target.host) === 0 && { servername: target.host }),
  }).on('error', ignore)
  try {
    await once(secured, 'secureConnect', { signal })
    return secured
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** Errors reach whoever waits; one that comes when nobody does must not end the process. */
function ignore(): void {}
