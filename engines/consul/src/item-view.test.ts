import type { Notice } from '@seamark/core'
import { assert, constantFrom, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Item } from './agent.ts'
import { ItemView } from './item-view.ts'
import { keys } from './keys.ts'
import { skipping } from './skipping.ts'

const layout = keys('seamark')

function stored(key: string, ModifyIndex: number, CreateIndex = ModifyIndex): Item {
  return { Key: layout.item(key), Value: Buffer.from(key).toString('base64'), CreateIndex, ModifyIndex }
}

function view(notices: Notice[] = []): ItemView {
  return new ItemView({ keys: layout, skipped: skipping((notice) => notices.push(notice)) })
}

describe('a view of items', () => {
  it('tells what changed, at the index of the answer', () => {
    const shown = view()
    shown.hear({ index: 10, value: [stored('a', 8), stored('b', 10)] })
    expect(shown.reset()).toMatchObject({
      revision: 10,
      changes: [{ type: 'reset', items: [{ key: 'a', modifiedRevision: 8 }, { key: 'b' }] }],
    })
    expect(shown.next()).toBeUndefined()
    shown.hear({ index: 12, value: [stored('a', 11, 8), stored('c', 12)] })
    expect(shown.next()).toMatchObject({
      revision: 12,
      changes: [
        { type: 'delete', key: 'b' },
        { type: 'put', item: { key: 'a', createdRevision: 8, modifiedRevision: 11 } },
        { type: 'put', item: { key: 'c' } },
      ],
    })
  })

  it('tells what was heard since it was asked last at once', () => {
    const shown = view()
    shown.hear({ index: 1, value: [] })
    shown.reset()
    shown.hear({ index: 2, value: [stored('a', 2)] })
    shown.hear({ index: 3, value: [stored('b', 3)] })
    expect(shown.next()).toMatchObject({ revision: 3, changes: [{ type: 'put', item: { key: 'b' } }] })
  })

  it('tells the index of what was undone before it was read, for its writers wait for it', () => {
    const shown = view()
    shown.hear({ index: 1, value: [stored('a', 1)] })
    shown.reset()
    shown.hear({ index: 3, value: [stored('a', 1)] })
    expect(shown.next()).toEqual({ revision: 3, changes: [] })
    expect(shown.next()).toBeUndefined()
  })

  it('begins anew when the index went back', () => {
    const shown = view()
    shown.hear({ index: 10, value: [stored('a', 10)] })
    shown.reset()
    shown.hear({ index: 4, value: [stored('a', 4)] })
    expect(shown.next()).toMatchObject({
      revision: 4,
      changes: [{ type: 'reset', items: [{ key: 'a', modifiedRevision: 4 }] }],
    })
  })

  it('leaves out what is no item, and says so once', () => {
    const notices: Notice[] = []
    const shown = view(notices)
    const odd = { ...stored('a', 2), Key: 'seamark/items/%zz' }
    for (const index of [2, 3]) shown.hear({ index, value: [odd, stored('a', 1)] })
    expect(shown.reset()).toMatchObject({ changes: [{ items: [{ key: 'a' }] }] })
    expect(notices).toMatchObject([{ event: 'record_skipped', details: { key: 'seamark/items/%zz' } }])
  })
})

describe('the keys of entries', () => {
  it('come back as they were, and begin with what their items begin with', () => {
    const text = string({ unit: 'binary' })
    assert(
      property(text, text, (start, rest) => {
        const entry = layout.item(start + rest)
        expect(layout.itemKey(entry)).toBe(start + rest)
        expect(entry.startsWith(layout.item(start))).toBe(true)
        expect(entry).not.toMatch(/\/\.|\/\//)
      }),
    )
  })

  it('do not begin with what their items do not begin with', () => {
    const few = string({ unit: constantFrom('a', '/', '.', '%', '2', 'F', 'ü', '\u{1f600}'), maxLength: 4 })
    assert(
      property(few, few, (key, start) => {
        expect(layout.item(key).startsWith(layout.item(start))).toBe(key.startsWith(start))
      }),
    )
  })
})
