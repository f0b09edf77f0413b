import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { Inquiry } from '../ports.ts'
import type { Fields } from '../proxy/fields.ts'

/** What somebody who read a request knows of it. */
export interface Said {
  readonly method: string
  readonly path: string
  readonly query: string
  /** `Host`, as the client sent it; empty when it sent none. */
  readonly authority: string
  readonly host: string
  /** Names in lower case. */
  readonly fields: Fields
  readonly body: Buffer | Readable | null
  /** Bytes of the body, if the client said so. */
  readonly length: number | undefined
  /** The protocol that the client would rather speak. */
  readonly upgrade: string | undefined
  /** The same object for the same fields of the same caller. */
  readonly kept?: KeptHead | undefined
}

/** What instances are told of a request's fields, once it was made of them. */
export interface KeptHead {
  lines?: string
}

/** Who said it. */
export interface Caller {
  readonly scheme: 'http' | 'https'
  /** The IP address at the other end of the connection. */
  readonly peer: string
  /** Whether that is a proxy whose word is taken for what came before it. */
  readonly isTrusted: boolean
}

/** A request from outside. */
export class Call implements Inquiry, Said {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly authority: string
  readonly host: string
  readonly fields: Fields
  readonly body: Buffer | Readable | null
  readonly length: number | undefined
  readonly upgrade: string | undefined
  readonly kept: KeptHead | undefined
  readonly caller: Caller
  readonly scheme: 'http' | 'https'
  readonly client: string
  #headers: IncomingHttpHeaders | undefined = undefined

  constructor(said: Said, caller: Caller, client: string, scheme: 'http' | 'https') {
    this.method = said.method
    this.path = said.path
    this.query = said.query
    this.authority = said.authority
    this.host = said.host
    this.fields = said.fields
    this.body = said.body
    this.length = said.length
    this.upgrade = said.upgrade
    this.kept = said.kept
    this.caller = caller
    this.scheme = scheme
    this.client = client
  }

  get headers(): IncomingHttpHeaders {
    this.#headers ??= headersOf(this.fields)
    return this.#headers
  }

  header(name: string): string | undefined {
    const { fields } = this
    let found: string | undefined
    for (let at = 0; at < fields.length; at += 2)
      if (fields[at] === name) found = found === undefined ? fields[at + 1]! : `${found}, ${fields[at + 1]}`
    return found
  }
}

/** As `node:http` shows them: names in lower case, and what comes twice joined as RFC 9110, 5.3, has it. */
export function headersOf(fields: readonly string[]): IncomingHttpHeaders {
  const headers: Record<string, string | string[]> = Object.create(null)
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!.toLowerCase()
    const value = fields[at + 1]!
    const known = headers[name]
    if (name === 'set-cookie') headers[name] = known === undefined ? [value] : [...known, value]
    else if (known === undefined) headers[name] = value
    else headers[name] = `${known}${name === 'cookie' ? '; ' : ', '}${value}`
  }
  return headers
}
