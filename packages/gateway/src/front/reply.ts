import type { Duplex } from 'node:stream'
import type { Fields } from '../proxy/fields.ts'

/** Who answers a request, and wants to know how its client takes it. */
export interface Replier {
  /** The client reads again. */
  drained(): void
  /** The client went away before the answer was whole. */
  gone(): void
}

/** The way back to a client. */
export interface Reply {
  /** The status that the client was told, or 0. */
  readonly status: number
  /** Whom it tells how it goes. */
  replier: Replier | undefined
  /** The body is wanted: a client that waits to be told so, is. */
  opened(): void
  /** A status below 200. */
  inform(status: number, fields: Fields): void
  /** `fields` are the answer's own, without those of a connection; with `content-length` when that is known. */
  start(status: number, statusText: string, fields: Fields): void
  /** What was said so far does not wait for more. */
  flush(): void
  /** `false`: the client does not read as fast; `drained` follows. The bytes are only there during the call. */
  write(chunk: Buffer): boolean
  end(trailers: Fields): void
  /** Breaks off, so that nobody takes what came for the whole. */
  abort(): void
  /** Lets another protocol go on between the client and `other`. Only where the request asked for that. */
  switch(fields: Fields, other: Duplex): void
}
