import type { RouteInput } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { describe, expect, it } from 'vitest'
import { inquiry } from '../../test/inquiry.ts'
import { ruleFor } from '../../test/route-list.ts'
import type { RouteTable, Rule } from '../ports.ts'
import { Guards } from './guards.ts'
import { policy } from './policy-input.ts'

function guarding() {
  const listeners = new Set<(table: RouteTable) => void>()
  const routes = {
    subscribe(listener: (table: RouteTable) => void): Disposable {
      listeners.add(listener)
      return { [Symbol.dispose]: () => listeners.delete(listener) }
    },
  }
  const guards = new Guards({ clock: fakeClock(), random: Math.random, notify() {}, routes })
  const reload = (...rules: readonly Rule[]) => {
    for (const listener of listeners) listener({ rules, conflicts: [], match: () => ({ allow: undefined }) })
  }
  return { guards, reload, listeners }
}

function rule(given: unknown, route: RouteInput = {}): Rule {
  return { ...ruleFor('tickets', route), policy: policy('policy', given) }
}

describe('guards', () => {
  it('keep what they have seen while the rule keeps its policy', () => {
    const { guards, reload } = guarding()
    const before = rule({ concurrency: 1 })
    guards.of(before).enter(inquiry())
    const after = rule({ concurrency: 1 }, { timeout: '2s', path: '/other' })
    reload(after)
    expect(guards.of(after)).toBe(guards.of(before))
    expect(() => guards.of(after).enter(inquiry())).toThrow('under way')
  })

  it('are replaced with the policy, and with the service', () => {
    const { guards, reload } = guarding()
    const before = rule({ concurrency: 1 })
    const first = guards.of(before)
    const other = rule({ concurrency: 2 })
    reload(other)
    expect(guards.of(other)).not.toBe(first)
    const elsewhere = { ...other, service: { namespace: 'default', service: 'spare' } }
    reload(elsewhere)
    expect(guards.of(elsewhere)).not.toBe(guards.of(other))
    // A request that was matched before finds the guard with which it began.
    expect(guards.of(before)).toBe(first)
  })

  it('leave with their rules', () => {
    const { guards, reload } = guarding()
    const before = rule({ concurrency: 1 })
    const first = guards.of(before)
    reload()
    const after = rule({ concurrency: 1 })
    reload(after)
    expect(guards.of(after)).not.toBe(first)
  })

  it('listen to the table until they are disposed of', () => {
    const { guards, listeners } = guarding()
    expect(listeners.size).toBe(1)
    guards[Symbol.dispose]()
    expect(listeners.size).toBe(0)
  })
})
