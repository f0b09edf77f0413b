import { invalidField, type Revision } from '@seamark/core'

/** The revision a watcher has seen, in the epoch it saw it in. */
export interface Seen {
  readonly epoch: string
  readonly revision: Revision
}

/** Reads a `Last-Event-ID`. Throws `invalid_field`. */
export function seenOf(header: string | string[] | undefined): Seen | undefined {
  if (header === undefined || header === '') return undefined
  const [, epoch, revision] = /^([0-9A-Za-z_-]{1,64}):(\d{1,16})$/.exec(String(header)) ?? []
  if (epoch === undefined || !Number.isSafeInteger(Number(revision)))
    throw invalidField('last-event-id', 'must be the id of an event of this stream')
  return { epoch, revision: Number(revision) }
}
