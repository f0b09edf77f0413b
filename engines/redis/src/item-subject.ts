import { isUtf8 } from 'node:buffer'
import { type Item, type ItemChange, storedItem } from '@seamark/core'
import type { Records } from './record.ts'
import type { Subject } from './redis-watch.ts'
import { changedItems, listItems } from './scripts.ts'

type ItemState = readonly [key: Buffer, revisions?: Buffer | null, value?: Buffer]

/** Higher than any byte of UTF-8. */
const beyond = Buffer.of(0xff)

/** Items whose keys begin with `prefix`. */
export function itemSubject(records: Records, prefix: string): Subject<ItemState, ItemChange> {
  const read = (state: ItemState) => records.read(String(state[0]), () => readItem(state))
  return {
    feed: 'itemFeed',
    list: listItems,
    changes: changedItems,
    ranges: [[`[${prefix}`, Buffer.concat([Buffer.from(`(${prefix}`), beyond])]],
    scope: [prefix],
    run: (connection, script, args) => connection.runForBytes(script, args),
    change(state) {
      const item = read(state)
      return item === undefined ? { type: 'delete', key: String(state[0]) } : { type: 'put', item }
    },
    reset: (states) => ({ type: 'reset', items: [...states].flatMap((state) => read(state) ?? []) }),
  }
}

/** `undefined`: there is none. */
function readItem([key, revisions, value]: ItemState): Item | undefined {
  if (!revisions || value === undefined) return undefined
  const [, created, modified] = /^(\d+) (\d+)$/.exec(String(revisions)) ?? []
  if (created === undefined || modified === undefined) throw new Error('its revisions are none')
  if (!isUtf8(key)) throw new Error('its key is no text')
  return storedItem({
    key: String(key),
    value,
    createdRevision: Number(created),
    modifiedRevision: Number(modified),
  })
}
