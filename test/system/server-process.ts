import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const seamark = fileURLToPath(new URL('../../packages/cli/bin/seamark.js', import.meta.url))

export interface ServerProcess extends AsyncDisposable {
  readonly url: string
  readonly child: ChildProcess
  /** As `kill -9`; resolves once the process is gone. */
  kill(): Promise<void>
}

/** Starts `seamark server` as a process of its own, and resolves once it says that it is up. */
export async function serverProcess(
  engine: string,
  port = 0,
  ...options: readonly string[]
): Promise<ServerProcess> {
  const place = ['--engine', engine, '--port', String(port), '--dns-port', 'off']
  const fixed = ['server', '--json', ...place, '--log-level', 'warn']
  const child = spawn(process.execPath, [seamark, ...fixed, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const complaints = text(child.stderr)
  const gone = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await gone
  }
  const printed = await Promise.race([once(child.stdout, 'data'), gone.then(() => undefined)])
  if (printed === undefined) throw new Error(`The server did not start: ${await complaints}`)
  const { url } = JSON.parse(String(printed[0]))
  return { url, child, kill, [Symbol.asyncDispose]: kill }
}

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
