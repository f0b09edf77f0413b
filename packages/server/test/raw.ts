import { connect } from 'node:net'

/** Sends bytes as they are, and answers what came back until the connection closed. */
export async function raw(port: number, bytes: string | Buffer): Promise<{ status: number; text: string }> {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  // A server that has answered may close while it is still being sent to.
  socket.on('error', () => {})
  socket.write(bytes)
  await new Promise((resolve) => socket.once('close', resolve))
  const answer = Buffer.concat(chunks).toString()
  const [head = '', text = ''] = answer.split(/\r\n\r\n(.*)/s)
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), text }
}
