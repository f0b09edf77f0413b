import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { request as requestTls } from 'node:https'
import type { HttpCheck } from '@seamark/core'
import type { Outcome, RunContext } from './check-runner.ts'
import { OutputBuffer } from './output-buffer.ts'
import { pinned } from './target-policy.ts'

const requests: Readonly<Record<string, typeof request>> = { 'http:': request, 'https:': requestTls }

/**
 * One request over a connection of its own. 2xx passes, 429 warns, all else is critical, redirects too: they are not
 * followed. The output is the status line and the beginning of the body.
 *
 * Plain `node:http`, because it does just this: a request that owns its socket, from the lookup on, and takes it along
 * when it is aborted.
 */
export async function httpCheck(
  check: HttpCheck,
  { instance, policy, signal }: RunContext,
): Promise<Outcome> {
  const { url, lookup } = await pinned(check, instance, policy, signal)
  const send = requests[url!.protocol]!
  const outgoing = send(url!, {
    method: check.method,
    headers: { 'user-agent': 'Seamark-Health-Check', ...check.headers },
    agent: false,
    lookup,
    signal,
  })
  // Errors reach whoever waits; one that comes when nobody does must not end the process.
  outgoing.on('error', () => {})
  try {
    outgoing.end()
    const [incoming] = (await once(outgoing, 'response', { signal })) as [IncomingMessage]
    const { statusCode = 0, statusMessage } = incoming
    const output = new OutputBuffer()
    output.add(Buffer.from(`${statusCode} ${statusMessage}\n`))
    for await (const chunk of incoming) if (!output.add(chunk)) break
    return { status: judged(statusCode), output: output.toString() }
  } finally {
    outgoing.destroy()
  }
}

function judged(status: number): Outcome['status'] {
  if (status >= 200 && status <= 299) return 'passing'
  return status === 429 ? 'warning' : 'critical'
}
