import { describe, expect, it } from 'vitest'
import type { Outcome } from './caller-process.ts'
import type { InstanceProcess } from './instance-process.ts'
import { scene } from './scene.ts'
import { waysIn } from './ways-in.ts'

/** How long something may take that takes a moment, and when to look again: ms. */
const soon = { timeout: 20_000, interval: 5 }

const failed = (outcomes: readonly Outcome[]) => outcomes.filter(({ failure }) => failure !== undefined)

const posts = (names: readonly string[]) => names.filter((name) => name.startsWith('POST '))

/** Requests that were received more than once, by anybody. */
function repeated(instances: readonly InstanceProcess[]): readonly string[] {
  const seen = new Set<string>()
  return instances
    .flatMap((instance) => instance.log('received'))
    .filter((name) => seen.size === seen.add(name).size)
}

/** Ways not to answer. */
const wedges: Readonly<Record<string, (instance: InstanceProcess) => unknown>> = {
  'accepts and does not answer': (instance) => instance.hold(),
  'is suspended': ({ child }) => child.kill('SIGSTOP'),
}

describe.each(Object.entries(waysIn))('requests through the %s', (_, open) => {
  it('all succeed, 500 a second, while one instance after the other is restarted', {
    timeout: 120_000,
  }, async () => {
    await using stage = await scene(open, { ttl: 10_000 })
    const { caller, instances } = stage
    for (const old of instances.slice(0, 3)) {
      expect(await old.stop()).toBe(0)
      const successor = await stage.start(old.kind)
      await caller.until(({ met }) => met.includes(successor.id))
    }
    await caller.until(({ answered }) => answered >= 6_000)
    const outcomes = await caller.stop()
    expect(failed(outcomes)).toEqual([])
    expect(posts(repeated(instances))).toEqual([])
  })

  it('fail only as POST, and only those under way at an instance that is killed', {
    timeout: 60_000,
  }, async () => {
    await using stage = await scene(open, { ttl: 10_000 })
    const { caller, entrance, instances } = stage
    const [victim] = instances
    victim.hold()
    // So that there is something to lose, of both kinds.
    await expect
      .poll(() => {
        const held = victim.log('held')
        return posts(held).length > 0 && posts(held).length < held.length
      }, soon)
      .toBe(true)
    await victim.kill()
    await caller.more(2_000)
    const outcomes = await caller.stop()

    const received = new Set(instances.flatMap((instance) => instance.log('received')))
    const answered = new Set(victim.log('answered'))
    const underway = victim.log('received').filter((name) => !answered.has(name))
    const failures = failed(outcomes)
    for (const failure of failures) {
      const { name } = failure
      expect(`${name}: ${await entrance.blame(failure)}`).toMatch(new RegExp(`^POST .*${victim.id}`))
      // Or it was in the sockets yet.
      if (received.has(name)) expect(underway).toContain(name)
    }
    expect(failures.map(({ name }) => name)).toEqual(expect.arrayContaining(posts(underway)))
    expect(posts(repeated(instances))).toEqual([])
  })

  it.each(Object.entries(wedges))(
    'go to an instance that %s no more after five of them, and fail only as POST',
    { timeout: 60_000 },
    async (_, wedge) => {
      // So long that it is not forgotten; and one after the other, so that nothing but its ejection keeps requests from it.
      const takingTurns = { balancer: 'round-robin', tryTimeout: '2s', rate: 100 } as const
      await using stage = await scene(open, { ttl: 60_000, ...takingTurns })
      const { caller, entrance, instances } = stage
      const [victim] = instances
      await caller.until(({ met }) => met.includes(victim.id))
      wedge(victim)
      await caller.more(650)
      const outcomes = await caller.stop()
      victim.child.kill('SIGCONT')
      expect(await victim.stop()).toBe(0)

      const received = new Set(victim.log('received'))
      // What it read and did not answer; and what failed, as it may have been cut off before it read anything.
      const isVisit = ({ name, instance, failure }: Outcome) =>
        failure !== undefined || (received.has(name) && instance !== victim.id)
      const visits = outcomes.filter(isVisit).sort((one, other) => one.ended - other.ended)
      const fifth = visits.slice(0, 5).at(-1)
      const later = outcomes.filter(({ begun }) => begun > (fifth?.ended ?? 0))
      expect(later.filter(isVisit)).toEqual([])
      expect(later.length).toBeGreaterThan(100)
      for (const failure of failed(outcomes))
        expect(`${failure.name}: ${await entrance.blame(failure)}`).toMatch(
          new RegExp(`^POST .*${victim.id}`),
        )
      expect(posts(repeated(instances))).toEqual([])
    },
  )
})
