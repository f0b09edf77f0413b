import type { Call } from '../front/call.ts'
import { items } from './fields.ts'

/** What the gateway adds to a request. */
export interface Additions {
  readonly identity: string | undefined
  readonly traceparent: string | undefined
  readonly tracestate: string | undefined
}

/**
 * What happens to fields that are not the client's to send on. `connection`: they concern its connection to us (RFC 9110, 7.6.1), or say
 * what we say ourselves. `forwarded`: kept from trusted proxies. `trace`: replaced, when telemetry has a better one.
 */
const special: ReadonlyMap<string, 'connection' | 'forwarded' | 'trace'> = new Map([
  ...(
    [
      ...['connection', 'content-length', 'expect', 'host', 'http2-settings', 'keep-alive'],
      ...[
        'proxy-authenticate',
        'proxy-authorization',
        'proxy-connection',
        'te',
        'transfer-encoding',
        'upgrade',
      ],
    ] as const
  ).map((name) => [name, 'connection'] as const),
  ...['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port'].map(
    (name) => [name, 'forwarded'] as const,
  ),
  ...['x-real-ip', 'x-forwarded-prefix', 'x-forwarded-server', 'x-forwarded-ssl', 'x-forwarded-scheme'].map(
    (name) => [name, 'forwarded'] as const,
  ),
  ...['traceparent', 'tracestate'].map((name) => [name, 'trace'] as const),
])
/** Only the gateway says these. Some servers take "_", or any other sign, for "-". */
const ours = /^x[^a-z0-9]seamark(?![a-z0-9])/
const forwardedLikeNames = /^x[-_]forwarded[-_]|^x[-_]real[-_]ip$/

/**
 * The head of a request as an instance gets it, whole. It says the Host that the client said, and who that was, in `forwarded` (RFC
 * 7239) and `x-forwarded-*`.
 */
export function requestHead(call: Call, target: string, additions: Additions): string {
  const { method, kept, upgrade } = call
  const { traceparent, tracestate, identity } = additions
  const isTraced = traceparent !== undefined
  let lines = isTraced ? kept?.lines : undefined
  if (lines === undefined) {
    lines = fieldsToSend(call, isTraced)
    if (isTraced && kept !== undefined) kept.lines = lines
  }
  let head = `${method} ${target} HTTP/1.1\r\n${lines}`
  if (isTraced) head += `traceparent: ${traceparent}\r\n`
  if (tracestate !== undefined) head += `tracestate: ${tracestate}\r\n`
  if (identity !== undefined) head += `x-seamark-identity: ${identity}\r\n`
  if (upgrade !== undefined) head += `connection: upgrade\r\nupgrade: ${upgrade}\r\n`
  return `${head}${framing(call)}\r\n`
}

/** What the client says, and who it is. `isTraced`: its trace context is replaced. */
function fieldsToSend(call: Call, isTraced: boolean): string {
  const { fields, authority, caller, upgrade } = call
  let lines = `host: ${authority}\r\n`
  let named: readonly string[] | undefined
  let cookies = ''
  let before: Before | undefined
  let trailers = false
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] !== 'connection') continue
    const value = fields[at + 1]!
    if (value !== 'keep-alive' && value !== 'close') named = [...(named ?? []), ...items(value)]
  }
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!
    const value = fields[at + 1]!
    const kind = special.get(name)
    if (kind === undefined) {
      if (name.charCodeAt(0) === letterX && (ours.test(name) || hidesForwarded(name))) continue
      if (named?.includes(name)) continue
      // HTTP/2 splits it: RFC 9113, 8.2.3.
      if (name === 'cookie') cookies = cookies === '' ? value : `${cookies}; ${value}`
      else lines += `${name}: ${value}\r\n`
    } else if (kind === 'trace') {
      if (!isTraced) lines += `${name}: ${value}\r\n`
    } else if (kind === 'forwarded') {
      if (!caller.isTrusted) continue
      before ??= {}
      before[name] = before[name] === undefined ? value : `${before[name]}, ${value}`
    } else if (name === 'te' && items(value).some((item) => item.startsWith('trailers'))) trailers = true
  }
  if (cookies !== '') lines += `cookie: ${cookies}\r\n`
  lines += forwarding(call, before)
  return trailers && upgrade === undefined ? `${lines}te: trailers\r\nconnection: te\r\n` : lines
}

const letterX = 120

/** Whether a field, by its name in lower case, is not the client's to say, or not to be sent on as it is. */
export function isReserved(name: string): boolean {
  return special.has(name) || ours.test(name) || hidesForwarded(name)
}

/** With "_" for "-", which some servers take for the same. */
function hidesForwarded(name: string): boolean {
  return name.includes('_') && forwardedLikeNames.test(name)
}

/** Whether the body's length is to be found out from it. */
export function isChunked({ body, length }: Call): boolean {
  return body !== null && !Buffer.isBuffer(body) && length === undefined
}

function framing(call: Call): string {
  const { body, length } = call
  if (isChunked(call)) return 'transfer-encoding: chunked\r\n'
  const bytes = Buffer.isBuffer(body) ? body.length : length
  return bytes === undefined ? '' : `content-length: ${bytes}\r\n`
}

/** What a trusted proxy said. */
type Before = Record<string, string>

function forwarding({ caller: { peer, scheme }, authority }: Call, before: Before | undefined): string {
  const node = peer.includes(':') ? `"[${peer}]"` : peer
  const host = authority === '' ? '' : `;host=${isToken(authority) ? authority : `"${authority}"`}`
  const element = `for=${node}${host};proto=${scheme}`
  if (before === undefined) {
    const said = authority === '' ? '' : `x-forwarded-host: ${authority}\r\n`
    return `x-forwarded-for: ${peer}\r\nx-forwarded-proto: ${scheme}\r\n${said}forwarded: ${element}\r\n`
  }
  const {
    forwarded,
    'x-forwarded-for': addresses,
    'x-forwarded-proto': proto = scheme,
    'x-forwarded-host': name = authority,
    ...others
  } = before
  let text = `x-forwarded-for: ${addresses === undefined ? peer : `${addresses}, ${peer}`}\r\n`
  text += `x-forwarded-proto: ${proto}\r\n`
  if (name !== '') text += `x-forwarded-host: ${name}\r\n`
  text += `forwarded: ${forwarded === undefined ? element : `${forwarded}, ${element}`}\r\n`
  for (const [name, value] of Object.entries(others)) text += `${name}: ${value}\r\n`
  return text
}

function isToken(text: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(text)
}
