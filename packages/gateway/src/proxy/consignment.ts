import type { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'

/** A request as it goes to an instance: the same bytes for each try. */
export interface Consignment extends Dispatcher.DispatchOptions {
  /** All before the body, with the empty line. */
  readonly head: string
  /** A stream is sent once. */
  readonly body: Buffer | Readable | null
  /** Whether the body goes in chunks, as nobody knows how long it is. */
  readonly isChunked: boolean
  /** Whether another protocol was asked for. */
  readonly isUpgrade: boolean
  /** The first byte of the body is wanted: now the client is to send it. */
  opened(): void
  /** All that has come of the answer was told, and more is to come. */
  caughtUp(): void
  /** So many bytes of the body were sent on. */
  carried(bytes: number): void
  /** The client went away before it had sent its body; or it stopped sending it. No instance is to blame. */
  gone(): void
  stalled(): void
}
