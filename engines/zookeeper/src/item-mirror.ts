import { type Item, type ItemBatch, type ItemChange, type Revision, storedItem } from '@seamark/core'
import type { MirrorOptions } from './mirror.ts'
import { itemPart, type Paths } from './paths.ts'
import { Reading } from './reading.ts'
import type { Session } from './session.ts'

export interface ItemMirrorOptions extends Pick<MirrorOptions, 'session' | 'paths' | 'known' | 'skip'> {
  readonly prefix: string
}

/** Nodes asked for at once: a value may have half a megabyte, and all have to arrive before ZooKeeper counts as gone. */
const together = 64

/** One item: its node, and what was last shown of it. */
interface Slot {
  readonly key: string
  readonly path: string
  item: Item | undefined
  gone: boolean
  shown: Item | undefined
}

/** A directory of items. */
interface Shelf {
  readonly directory: string
  readonly path: string
  /** By the name of the node. */
  readonly slots: Map<string, Slot>
}

/** What a watch of items knows of ZooKeeper's nodes. What was written together it shows together, however long that takes. */
export class ItemMirror {
  readonly #session: Session
  readonly #paths: Paths
  readonly #prefix: string
  readonly #skip: MirrorOptions['skip']
  readonly #reading: Reading
  /** By the name of the node. */
  readonly #shelves = new Map<string, Shelf>()
  readonly #stale = new Set<Slot>()

  constructor({ session, paths, prefix, known, skip }: ItemMirrorOptions) {
    this.#session = session
    this.#paths = paths
    this.#prefix = prefix
    this.#skip = skip
    this.#reading = new Reading({ session, known })
    this.#reading.follow(paths.items, () => this.#readShelves())
  }

  /** The first batch is a reset. Ends when `signal` aborts; throws when the session ends before. */
  batches(signal: AbortSignal): AsyncGenerator<ItemBatch> {
    return this.#reading.batches(signal, (seen, first) => this.#batch(seen, first))
  }

  async #readShelves(): Promise<void> {
    const nodes = new Set(await this.#reading.children(this.#paths.items))
    for (const [node, shelf] of this.#shelves)
      if (!nodes.has(node)) {
        this.#shelves.delete(node)
        this.#reading.unfollow(shelf.path)
        for (const slot of shelf.slots.values()) this.#close(slot)
      }
    const opened: Shelf[] = []
    for (const node of nodes) {
      if (this.#shelves.has(node)) continue
      const path = `${this.#paths.items}/${node}`
      const directory = itemPart(node)
      if (directory === undefined) this.#skip(path, new Error('not a directory of items'))
      else if (directory.startsWith(this.#prefix) || this.#prefix.startsWith(directory)) {
        const shelf = { directory, path, slots: new Map() }
        this.#shelves.set(node, shelf)
        this.#reading.listen(path, () => this.#readShelf(shelf))
        opened.push(shelf)
      }
    }
    const unread = (await inGroups(opened, (shelf) => this.#list(shelf))).flat()
    await inGroups(unread, (slot) => this.#read(slot))
  }

  async #readShelf(shelf: Shelf): Promise<void> {
    await inGroups(await this.#list(shelf), (slot) => this.#read(slot))
  }

  /** Answers what has to be read. */
  async #list(shelf: Shelf): Promise<readonly Slot[]> {
    const nodes = new Set(await this.#reading.children(shelf.path))
    for (const [node, slot] of shelf.slots)
      if (!nodes.has(node)) {
        shelf.slots.delete(node)
        this.#close(slot)
      }
    const unread: Slot[] = []
    for (const node of nodes) {
      let slot = shelf.slots.get(node)
      if (slot === undefined) {
        const path = `${shelf.path}/${node}`
        const name = itemPart(node)
        if (name === undefined || name.includes('/')) {
          this.#skip(path, new Error('not the name of an item'))
          continue
        }
        const key = shelf.directory + name
        if (!key.startsWith(this.#prefix)) continue
        const opened: Slot = { key, path, item: undefined, gone: false, shown: undefined }
        shelf.slots.set(node, opened)
        this.#reading.listen(path, () => this.#read(opened))
        slot = opened
      }
      // One that was missing when it was read is not watched.
      if (slot.item === undefined) unread.push(slot)
    }
    return unread
  }

  async #read(slot: Slot): Promise<void> {
    const node = await this.#session.read(slot.path, true)
    if (slot.gone) return
    this.#stale.add(slot)
    slot.item = undefined
    if (node === undefined) return
    const { created: createdRevision, modified: modifiedRevision } = node.stat
    try {
      slot.item = storedItem({ key: slot.key, value: node.data, createdRevision, modifiedRevision })
    } catch (error) {
      this.#skip(slot.path, error)
    }
  }

  #close(slot: Slot): void {
    this.#reading.unfollow(slot.path)
    slot.gone = true
    slot.item = undefined
    this.#stale.add(slot)
  }

  #batch(seen: Revision, first: boolean): ItemBatch {
    const changes: ItemChange[] = []
    // Of a key that went and came again there are two, in this order.
    for (const slot of this.#stale) {
      const { item, shown, key } = slot
      slot.shown = item
      if (item !== undefined) {
        if (!isSame(item, shown)) changes.push({ type: 'put', item })
      } else if (shown !== undefined) changes.push({ type: 'delete', key })
    }
    this.#stale.clear()
    if (!first) return { revision: seen, changes }
    const items = [...this.#shelves.values()].flatMap(({ slots }) =>
      [...slots.values()].flatMap(({ item }) => item ?? []),
    )
    const modified = items.map(({ modifiedRevision }) => modifiedRevision)
    return {
      revision: this.#reading.resetRevision(seen, modified),
      changes: [{ type: 'reset', items }],
    }
  }
}

function isSame(item: Item, shown: Item | undefined): boolean {
  return item.modifiedRevision === shown?.modifiedRevision && item.createdRevision === shown.createdRevision
}

async function inGroups<T, R>(list: readonly T[], work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < list.length; at += together)
    results.push(...(await Promise.all(list.slice(at, at + together).map(work))))
  return results
}
