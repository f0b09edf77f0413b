import { connect, constants, type IncomingHttpHeaders } from 'node:http2'
import { type GrpcCheck, limits } from '@seamark/core'
import type { Outcome, RunContext } from './check-runner.ts'
import { dial, dialTls } from './dial.ts'
import { decodeResponse, encodeRequest, servingStatuses } from './grpc-health.ts'
import { bracketed, pinned } from './target-policy.ts'

interface Answer {
  /** Headers and trailers: a failure may stand in either (`Trailers-Only`). */
  readonly headers: IncomingHttpHeaders
  readonly message: Buffer
}

/**
 * One call of `grpc.health.v1.Health/Check`: SERVING passes, all else is critical.
 *
 * The call is made over `node:http2`: it is one request with two messages of a few bytes, and so it shares the pinned
 * address, the timeout and the clean end of the other checks.
 */
export async function grpcCheck(
  check: GrpcCheck,
  { instance, policy, signal }: RunContext,
): Promise<Outcome> {
  const target = await pinned(check, instance, policy, signal)
  const socket = check.tls ? await dialTls(target, 'h2', signal) : await dial(target, signal)
  const authority = `${check.tls ? 'https' : 'http'}://${bracketed(target.host)}:${target.port}`
  const session = connect(authority, { createConnection: () => socket })
  try {
    const answer = await new Promise<Answer>((resolve, reject) => {
      session.on('error', reject)
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      const call = session.request({
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
        [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
        [constants.HTTP2_HEADER_TE]: 'trailers',
        [constants.HTTP2_HEADER_USER_AGENT]: 'Seamark-Health-Check',
      })
      let headers: IncomingHttpHeaders = {}
      const chunks: Buffer[] = []
      let bytes = 0
      call.on('response', (received) => {
        headers = { ...headers, ...received }
      })
      call.on('trailers', (received) => {
        headers = { ...headers, ...received }
      })
      call.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        bytes += chunk.length
        if (bytes > limits.outputBytes) reject(new Error('The answer is larger than any health response.'))
      })
      call.on('error', reject)
      call.on('close', () => reject(new Error('The call ended without an answer.')))
      call.on('end', () => resolve({ headers, message: Buffer.concat(chunks) }))
      call.end(encodeRequest(check.service))
    })
    return judged(answer, check.service)
  } finally {
    session.destroy()
    socket.destroy()
  }
}

function judged({ headers, message }: Answer, service: string): Outcome {
  const http = headers[constants.HTTP2_HEADER_STATUS]
  const code = headers['grpc-status']
  if (code === undefined) return critical(`Not a gRPC server: it answered with HTTP status ${http}.`)
  if (code !== '0') {
    const said = headers['grpc-message']
    const problem = problems[String(code)]?.(service) ?? `gRPC status ${code}`
    return critical(typeof said === 'string' && said !== '' ? `${problem}: ${unescaped(said)}` : problem)
  }
  const status = decodeResponse(message)
  if (status === undefined) return critical('The answer is no HealthCheckResponse.')
  const output = servingStatuses[status] ?? `Serving status ${status}`
  return status === servingStatuses.indexOf('SERVING') ? { status: 'passing', output } : critical(output)
}

/** What the codes of gRPC mean for this call (https://grpc.io/docs/guides/health-checking). */
const problems: Readonly<Record<string, (service: string) => string>> = {
  '5': (service) => `The server's health service does not know "${service}" (NOT_FOUND)`,
  '12': () => 'The server does not implement grpc.health.v1.Health (UNIMPLEMENTED)',
}

function critical(output: string): Outcome {
  return { status: 'critical', output }
}

/** gRPC escapes its messages as in URLs; one that is not well-formed is shown as it is. */
function unescaped(message: string): string {
  try {
    return decodeURIComponent(message)
  } catch {
    return message
  }
}
