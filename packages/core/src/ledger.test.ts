import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fakeClock } from './fake-clock.ts'
import { type Dated, Ledger, sweepInterval } from './ledger.ts'

interface Lease extends Dated {
  readonly id: number
}

function lease(id: number, ttl: number): Lease {
  return { id, ttl, deadline: 0, slot: undefined }
}

describe('the ledger of leases', () => {
  it('never ends a lease early, and hardly late, whatever is renewed, removed or stalled', async () => {
    const step = fc.oneof(
      fc.record({ does: fc.constant('add'), of: fc.nat(9), ms: fc.integer({ min: 100, max: 3_000 }) }),
      fc.record({ does: fc.constant('renew'), of: fc.nat(9), ms: fc.constant(0) }),
      fc.record({ does: fc.constant('remove'), of: fc.nat(9), ms: fc.constant(0) }),
      fc.record({ does: fc.constant('advance'), of: fc.constant(0), ms: fc.integer({ min: 1, max: 1_500 }) }),
      fc.record({
        does: fc.constant('stall'),
        of: fc.constant(0),
        ms: fc.integer({ min: 1_000, max: 60_000 }),
      }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const clock = fakeClock()
        // The model: when each lease ends, on a clock that stood still during stalls.
        const held = new Map<number, { lease: Lease; ends: number }>()
        let stalled = 0
        const time = () => clock.now() - stalled
        const ledger = new Ledger<Lease>({
          clock,
          notify: () => {},
          expire: (leases) => {
            for (const { id } of leases) {
              expect(time()).toBeGreaterThanOrEqual(held.get(id)!.ends)
              held.delete(id)
            }
          },
        })
        for (const { does, of, ms } of steps) {
          const known = held.get(of)
          if (does === 'add' && known === undefined) {
            const added = lease(of, ms)
            ledger.add(added)
            held.set(of, { lease: added, ends: time() + ms })
          } else if (does === 'renew' && known !== undefined) {
            ledger.renew(known.lease)
            held.set(of, { lease: known.lease, ends: time() + known.lease.ttl })
          } else if (does === 'remove' && known !== undefined) {
            ledger.remove(known.lease)
            held.delete(of)
          } else if (does === 'advance') await clock.advance(ms)
          else if (does === 'stall') {
            clock.jump(ms)
            // The ledger cannot tell the last interval before it wakes from one that was served.
            if (held.size > 0) stalled += ms - sweepInterval
          }
          for (const { ends } of held.values()) expect(time() - ends).toBeLessThan(4 * sweepInterval)
          expect(ledger.size).toBe(held.size)
        }
        ledger.stop()
      }),
      { numRuns: 60 },
    )
  })

  it('has no timer while it holds nothing', async () => {
    const clock = fakeClock()
    let timers = 0
    const counting = {
      ...clock,
      after: (delay: number, callback: () => void) => {
        timers++
        return clock.after(delay, callback)
      },
    }
    const ledger = new Ledger<Lease>({ clock: counting, notify: () => {}, expire: () => {} })
    const only = lease(1, 500)
    ledger.add(only)
    await clock.advance(300)
    ledger.remove(only)
    const before = timers
    await clock.advance(10_000)
    expect(timers).toBe(before)
  })
})
