import type { Item, ItemBatch, ItemChange, Revision, Store } from '@seamark/core'
import { type FollowerOptions, type Following, following } from './following.ts'

/** The items that a watch tells of, folded from its batches as they arrive. It holds the watch to its contract, too. */
export interface ItemFollower extends Following<ItemBatch> {
  readonly items: ReadonlyMap<string, Item>
}

/** Follows the items under a prefix. */
export function itemFollower(
  store: Pick<Store, 'watchItems'>,
  prefix: string,
  options?: FollowerOptions,
): ItemFollower {
  const items = new Map<string, Item>()

  function fault({ revision, changes }: ItemBatch): string | undefined {
    return changes.map((change) => changeFault(change, revision)).find((problem) => problem !== undefined)
  }

  function changeFault(change: ItemChange, at: Revision): string | undefined {
    if (change.type === 'delete')
      return change.key.startsWith(prefix) ? undefined : 'it shows a key outside its prefix'
    if (change.type === 'put') {
      const former = items.get(change.item.key)
      if (former !== undefined && former.modifiedRevision > change.item.modifiedRevision)
        return 'an item went back to an older revision'
      return itemFault(change.item, at)
    }
    if (new Set(change.items.map(({ key }) => key)).size < change.items.length)
      return 'a reset holds an item twice'
    return change.items.map((item) => itemFault(item, at)).find((problem) => problem !== undefined)
  }

  function itemFault(item: Item, at: Revision): string | undefined {
    const { key, createdRevision, modifiedRevision } = item
    if (!key.startsWith(prefix)) return 'it shows a key outside its prefix'
    if (!(0 < createdRevision && createdRevision <= modifiedRevision && modifiedRevision <= at))
      return `an item's revisions (${createdRevision}, ${modifiedRevision}) do not fit the batch's (${at})`
    return Object.isFrozen(item) ? undefined : 'an item is not frozen'
  }

  function apply({ changes }: ItemBatch): void {
    for (const change of changes)
      if (change.type === 'put') items.set(change.item.key, change.item)
      else if (change.type === 'delete') items.delete(change.key)
      else {
        items.clear()
        for (const item of change.items) items.set(item.key, item)
      }
  }

  const followed = following(
    { watch: (signal) => store.watchItems(prefix, signal), fault, apply, seen: () => `${items.size} items` },
    options,
  )
  // Not spread: `revision` is read anew each time.
  return Object.assign(followed, { items })
}
