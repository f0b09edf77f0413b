import type { IncomingHttpHeaders } from 'node:http'
import type { Clock } from '@seamark/core'
import type { Fallback, Inquiry, Recorder, Substitute } from '../ports.ts'

/** What is kept for one rule, at most. */
export const lastGoodBounds = {
  /** Bytes of the body of one answer; a larger one is not kept. */
  answerBytes: 1_048_576,
  /** Bytes of all. */
  bytes: 16_777_216,
  /** Answers to the same URL that differ by what `vary` names. */
  variants: 8,
} as const

interface Kept {
  readonly url: string
  /** What the answer depends on, and what it was in the request: `accept-language`, `de`. */
  readonly vary: readonly (readonly [name: string, value: string])[]
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Buffer
  readonly bytes: number
  /** Seconds that it was old when it came. */
  readonly age: number
  readonly cameAt: number
}

/** They are about the connection (RFC 9110, 7.6.1), or are said anew. */
const unkept: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'age',
  'warning',
])

/** With these, an answer is for one person only, or may not be used once it is old (RFC 9111, 4.2.4). */
const forbidding =
  /(?:^|[\s,])(?:no-store|no-cache|private|must-revalidate|proxy-revalidate|s-maxage)(?=$|[\s,=])/i
/** What tells people apart: `authorization`, `cookie`, `x-api-key`, `x-auth-token`, `x-session-id`. */
const personal = /auth|cookie|api-?key|token|session|secret|credential|password|^x-user/
const isPublic = /(?:^|[\s,])public(?=$|[\s,])/i

/** What a kept answer takes beside what is counted, roughly. */
const overhead = 512

/**
 * Answers with the last good answer to the same request. Kept are whole answers of status 200 to GET without a body that are for
 * everybody: without `set-cookie`, not forbidden by `cache-control`, and, if the request had a cookie, an authorization, or anything else
 * that looks like a credential, said to be `public`.
 */
export class LastGood implements Fallback {
  readonly #clock: Clock
  /** Milliseconds. */
  readonly #maxAge: number
  /** Variants by URL; the URLs in the order in which something was kept. */
  readonly #byUrl = new Map<string, Kept[]>()
  #bytes = 0

  constructor(clock: Clock, maxAge: number) {
    this.#clock = clock
    this.#maxAge = maxAge
  }

  record(inquiry: Inquiry, status: number, headers: IncomingHttpHeaders): Recorder | undefined {
    if (inquiry.method !== 'GET' || status !== 200 || hasBody(inquiry)) return undefined
    if (!isForEverybody(inquiry, headers)) return undefined
    const vary = variesBy(headers)
    const announced = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
    if (vary === undefined || (announced ?? 0) > lastGoodBounds.answerBytes) return undefined
    const chunks: Buffer[] = []
    let size = 0
    return {
      data(chunk) {
        size += chunk.length
        if (size <= lastGoodBounds.answerBytes) chunks.push(chunk)
        else chunks.length = 0
      },
      end: () => {
        if (size > lastGoodBounds.answerBytes || (announced !== undefined && announced !== size)) return
        this.#keep(inquiry, vary, headers, together(chunks, size))
      },
    }
  }

  /** For HEAD too, with the body that GET would have. */
  substitute(inquiry: Inquiry): Substitute | undefined {
    if ((inquiry.method !== 'GET' && inquiry.method !== 'HEAD') || hasBody(inquiry)) return undefined
    const kept = this.#byUrl
      .get(urlOf(inquiry))
      ?.find(({ vary }) => vary.every(([name, value]) => asked(inquiry, name) === value))
    if (kept === undefined) return undefined
    const since = this.#clock.now() - kept.cameAt
    if (since > this.#maxAge) {
      this.#drop(kept)
      return undefined
    }
    return {
      status: 200,
      headers: {
        ...kept.headers,
        age: String(kept.age + Math.floor(since / 1_000)),
        // RFC 9111 took it out, and no other header says to people that this is not what the service would say now.
        warning: '111 - "Revalidation Failed"',
      },
      body: kept.body,
    }
  }

  #keep(inquiry: Inquiry, names: readonly string[], headers: IncomingHttpHeaders, body: Buffer): void {
    const url = urlOf(inquiry)
    const vary = names.map((name) => [name, asked(inquiry, name)] as const)
    const headersKept = keptHeaders(headers)
    const bytes = overhead + 2 * (url.length + JSON.stringify([vary, headersKept]).length) + body.length
    const age = /^\d{1,9}$/.test(headers.age ?? '') ? Number(headers.age) : 0
    const kept: Kept = { url, vary, headers: headersKept, body, bytes, age, cameAt: this.#clock.now() }
    const isSame = (other: Kept) => JSON.stringify(other.vary) === JSON.stringify(vary)
    const variants = this.#byUrl.get(url) ?? []
    const former = variants.find(isSame) ?? variants[lastGoodBounds.variants - 1]
    if (former !== undefined) this.#drop(former)
    // Behind those of URLs of which nothing came since.
    this.#byUrl.delete(url)
    this.#byUrl.set(url, [kept, ...variants.filter((other) => other !== former)])
    this.#bytes += bytes
    for (const [oldest] of this.#byUrl.values()) {
      if (this.#bytes <= lastGoodBounds.bytes) break
      for (const one of [...this.#byUrl.get(oldest!.url)!]) this.#drop(one)
    }
  }

  #drop(kept: Kept): void {
    const others = this.#byUrl.get(kept.url)?.filter((other) => other !== kept) ?? []
    if (others.length === 0) this.#byUrl.delete(kept.url)
    else this.#byUrl.set(kept.url, others)
    this.#bytes -= kept.bytes
  }
}

function urlOf({ scheme, host, path, query }: Inquiry): string {
  return `${scheme}://${host}${path}${query}`
}

function isForEverybody({ headers: request }: Inquiry, headers: IncomingHttpHeaders): boolean {
  const control = headers['cache-control'] ?? ''
  if (headers['set-cookie'] !== undefined || forbidding.test(control)) return false
  return isPublic.test(control) || !Object.keys(request).some((name) => personal.test(name))
}

/** Whether a GET has a body, on which its answer may depend. */
function hasBody({ headers }: Inquiry): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/** The request headers on which an answer depends; `undefined` when it depends on more. */
function variesBy({ vary = '' }: IncomingHttpHeaders): readonly string[] | undefined {
  const names = vary
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
  return names.includes('*') ? undefined : names.sort()
}

function asked({ headers }: Inquiry, name: string): string {
  return String(headers[name] ?? '')
}

function keptHeaders(headers: IncomingHttpHeaders): Kept['headers'] {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  return Object.fromEntries(
    Object.entries(headers).filter(
      (pair): pair is [string, string | string[]] =>
        pair[1] !== undefined && !unkept.has(pair[0]) && !named.includes(pair[0]),
    ),
  )
}

/** A copy, as chunks are parts of larger buffers, which they would keep alive. */
function together(chunks: readonly Buffer[], size: number): Buffer {
  const whole = Buffer.allocUnsafeSlow(size)
  let at = 0
  for (const chunk of chunks) at += chunk.copy(whole, at)
  return whole
}
