import type { ServerResponse } from 'node:http'
import type { ClaimKey, Entry, EntryChange, Holder, InstanceKey, Revision, Snapshot } from '@seamark/core'
import { passingEntryJson } from './entry-json.ts'

/** The server-sent events of `/api/v1/watch`. A batch is a run of them that `applied` closes; only that has an id. */

export function beginEventStream(response: ServerResponse): void {
  // The body ends with the connection: chunks would cost a frame around every event of every watcher.
  response.useChunkedEncodingByDefault = false
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    connection: 'close',
  })
  response.flushHeaders()
}

export const retryEvent = 'retry: 1000\n\n'
export const keepAliveComment = Buffer.from(': keep-alive\n\n')
export const resetEvent = 'event: reset\ndata: {}\n\n'

export function appliedEvent(epoch: string, revision: Revision): string {
  return `event: applied\nid: ${epoch}:${revision}\ndata: {"revision":${revision}}\n\n`
}

export function changeEvent(change: EntryChange): string {
  switch (change.type) {
    case 'put':
      return putEvent(change.entry)
    case 'delete':
      return deleteEvent(change.key)
    case 'claim':
      return claimEvent(change.holder)
    case 'release':
      return releaseEvent(change.claim)
  }
}

/** All of a service; empty when it has no instances. */
export function snapshotEvents({ entries, holders }: Snapshot): string {
  return entries.map(putEvent).join('') + holders.map(claimEvent).join('')
}

export function putEvent(entry: Entry): string {
  return `event: put\ndata: ${passingEntryJson(entry)}\n\n`
}

export function deleteEvent({ namespace, service, id }: InstanceKey): string {
  return `event: delete\ndata: ${JSON.stringify({ namespace, service, id })}\n\n`
}

export function claimEvent({ namespace, service, id, name, fence }: Holder): string {
  return `event: claim\ndata: ${JSON.stringify({ namespace, service, id, name, fence })}\n\n`
}

export function releaseEvent({ namespace, service, name }: ClaimKey): string {
  return `event: release\ndata: ${JSON.stringify({ namespace, service, name })}\n\n`
}
