import { health, instance, type Notice } from '@seamark/core'
import { describe, expect, it } from 'vitest'
import type { Item } from './agent.ts'
import type { Row } from './foreign.ts'
import { keys } from './keys.ts'
import { claimValue, instanceValue } from './record.ts'
import { skipping } from './skipping.ts'
import { View } from './view.ts'

const key = { namespace: 'default', service: 'api' }
const layout = keys('seamark')

function own(id: string, index: number, lease = 'lease', created = index): Item {
  const it = instance({ ...key, id, address: '10.0.0.1', port: index })
  return {
    Key: layout.instance(it),
    Value: instanceValue({ instance: it, health: health([]), lease }),
    CreateIndex: created,
    ModifyIndex: index,
  }
}

function claim(name: string, id: string, index: number, lease = 'lease'): Item {
  return {
    Key: layout.claim({ ...key, name }),
    Value: claimValue({ ...key, name, id, lease }),
    CreateIndex: index,
    ModifyIndex: index,
  }
}

function theirs(ID: string, index: number, checks = 0): Row {
  return {
    Node: { Node: 'n', Address: '10.0.0.2' },
    Service: { ID, Service: 'api', CreateIndex: 1, ModifyIndex: index },
    Checks: Array.from({ length: checks }, (_, at) => ({
      CheckID: `c${at}`,
      ServiceID: ID,
      Status: 'passing',
    })),
  }
}

function view(notices: Notice[] = []): View {
  const skipped = skipping((notice) => notices.push(notice))
  return new View({ keys: layout, skipped, services: undefined })
}

describe('a view', () => {
  it('tells what changed, at the index of the change', () => {
    const shown = view()
    shown.hearOwn({ index: 10, value: [own('a', 8), own('b', 10)] })
    expect(shown.reset()).toMatchObject({ revision: 10, changes: [{ type: 'reset', entries: [{}, {}] }] })
    expect(shown.next()).toBeUndefined()
    shown.hearOwn({ index: 12, value: [own('a', 11, 'lease', 8), own('c', 12)] })
    expect(shown.next()).toMatchObject({
      revision: 12,
      changes: [
        { type: 'delete', key: { ...key, id: 'b' } },
        { type: 'put', entry: { instance: { id: 'a' }, createdRevision: 8, modifiedRevision: 11 } },
        { type: 'put', entry: { instance: { id: 'c' } } },
      ],
    })
  })

  it('keeps an entry that did not change the same object', () => {
    const shown = view()
    const entries = () => {
      const [change] = shown.reset().changes
      return change?.type === 'reset' ? change.entries : []
    }
    shown.hearOwn({ index: 10, value: [own('a', 10)] })
    const [before] = entries()
    shown.hearOwn({ index: 11, value: [own('a', 10), own('b', 11)] })
    expect(entries()[0]).toBe(before)
  })

  it('tells what others change at its index, if that is higher', () => {
    const shown = view()
    shown.hearForeign({ index: 5, value: [] })
    shown.hearOwn({ index: 10, value: [] })
    expect(shown.reset().revision).toBe(10)
    expect(shown.hearForeign({ index: 11, value: [theirs('x', 11)] })).toBe(true)
    expect(shown.next()).toMatchObject({ revision: 11, changes: [{ type: 'put' }] })
  })

  it('tells what others changed before something that was told already by a reset, and promises no more', () => {
    const shown = view()
    shown.hearForeign({ index: 5, value: [] })
    shown.hearOwn({ index: 10, value: [own('a', 10)] })
    shown.reset()
    shown.hearForeign({ index: 9, value: [theirs('x', 9)] })
    expect(shown.next()).toMatchObject({ revision: 10, changes: [{ type: 'reset', entries: [{}, {}] }] })
    expect(shown.next()).toBeUndefined()
  })

  it('says nothing of answers in which nothing changed', () => {
    const shown = view()
    shown.hearForeign({ index: 5, value: [theirs('x', 5)] })
    shown.hearOwn({ index: 10, value: [own('a', 10)] })
    shown.reset()
    shown.hearOwn({ index: 10, value: [own('a', 10)] })
    expect(shown.hearForeign({ index: 20, value: [theirs('x', 5)] })).toBe(false)
    expect(shown.next()).toBeUndefined()
  })

  it('tells the index of what was undone before it was read, for its writers wait for it', () => {
    const shown = view()
    shown.hearOwn({ index: 10, value: [own('a', 10)] })
    shown.reset()
    shown.hearOwn({ index: 12, value: [own('a', 10)] })
    expect(shown.next()).toEqual({ revision: 12, changes: [] })
    expect(shown.next()).toBeUndefined()
  })

  it('promises nothing of our entries for an index at which others changed nothing', () => {
    const shown = view()
    shown.hearOwn({ index: 10, value: [own('a', 10)] })
    shown.reset()
    shown.hearForeign({ index: 20, value: [] })
    shown.hearOwn({ index: 12, value: [own('a', 10), own('b', 12)] })
    expect(shown.next()).toMatchObject({ revision: 12, changes: [{ type: 'put' }] })
  })

  it('shows a check that others took away as a change, though nothing has an index for it', () => {
    const shown = view()
    shown.hearForeign({ index: 5, value: [theirs('x', 5, 2)] })
    shown.reset()
    shown.hearForeign({ index: 7, value: [theirs('x', 5, 1)] })
    expect(shown.next()).toMatchObject({
      revision: 7,
      changes: [{ type: 'put', entry: { modifiedRevision: 7, health: { checks: [{ id: 'c0' }] } } }],
    })
  })

  it('starts anew, lower, when the index goes back', () => {
    const shown = view()
    shown.hearOwn({ index: 100, value: [own('a', 100)] })
    shown.reset()
    shown.hearOwn({ index: 7, value: [own('b', 7)] })
    expect(shown.next()).toMatchObject({
      revision: 7,
      changes: [{ type: 'reset', entries: [{ instance: { id: 'b' } }] }],
    })
    shown.hearOwn({ index: 8, value: [own('b', 7), own('c', 8)] })
    expect(shown.next()).toMatchObject({ revision: 8, changes: [{ type: 'put' }] })
  })

  it('takes a claim for over when its lease is not the one of the instance', () => {
    const shown = view()
    shown.hearOwn({ index: 10, value: [own('a', 9, 'one'), claim('primary', 'a', 10, 'one')] })
    expect(shown.reset()).toMatchObject({ changes: [{ holders: [{ id: 'a', name: 'primary', fence: 10 }] }] })
    shown.hearOwn({ index: 11, value: [own('a', 11, 'two', 9), claim('primary', 'a', 10, 'one')] })
    expect(shown.next()).toMatchObject({
      changes: [{ type: 'release', claim: { ...key, name: 'primary' } }, { type: 'put' }],
    })
    shown.hearOwn({ index: 12, value: [own('a', 11, 'two', 9), claim('primary', 'a', 12, 'two')] })
    expect(shown.next()).toMatchObject({ changes: [{ type: 'claim', holder: { fence: 12 } }] })
  })

  it('believes no record that stands under the key of another', () => {
    const notices: Notice[] = []
    const shown = view(notices)
    const Key = layout.instance({ ...key, id: 'b' })
    shown.hearOwn({ index: 10, value: [{ ...own('a', 10), Key }] })
    expect(shown.reset()).toMatchObject({ changes: [{ entries: [] }] })
    expect(notices).toMatchObject([{ event: 'record_skipped', details: { key: Key } }])
  })
})
