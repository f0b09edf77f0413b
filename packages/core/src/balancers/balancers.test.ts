import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Balancer, Choice } from '../balancer.ts'
import { candidates, subset } from '../candidates.ts'
import { type HealthStatus, health } from '../health.ts'
import { type InstanceInput, instance } from '../instance.ts'
import type { Entry } from '../ports.ts'
import { affinity } from './affinity.ts'
import { leastCost } from './least-cost.ts'
import { roundRobin } from './round-robin.ts'
import { slowStart } from './slow-start.ts'
import { weightedRandom } from './weighted-random.ts'
import { zoneAware } from './zone-aware.ts'

function entry(id: string, fields: Partial<InstanceInput> = {}, status: HealthStatus = 'passing'): Entry {
  return {
    instance: instance({ namespace: 'default', service: 'api', id, address: '::1', port: 1, ...fields }),
    health: health([{ id: 'check', status, output: '' }]),
    createdRevision: 1,
    modifiedRevision: 1,
  }
}

const weighing = (weights: readonly number[]) =>
  weights.map((weight, index) => entry(`i${index}`, { weight }))

/** A sequence of numbers in [0, 1) that are as good as random, and the same in every run. */
function randoms(seed = 1): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    const high = (mixed ^ (mixed >>> 14)) >>> 0
    state = (state + 0x6d2b79f5) | 0
    let low = Math.imul(state ^ (state >>> 15), 1 | state)
    low = (low + Math.imul(low ^ (low >>> 7), 61 | low)) ^ low
    return ((high >>> 6) * 2 ** 26 + ((low ^ (low >>> 14)) >>> 6)) / 2 ** 52
  }
}

function counted(
  choose: (choice: Choice) => Entry | undefined,
  draws: number,
  choice: (draw: number) => Partial<Choice> = () => ({}),
): Map<string | undefined, number> {
  const random = randoms()
  const counts = new Map<string | undefined, number>()
  for (let draw = 0; draw < draws; draw++) {
    const id = choose({ random: random(), ...choice(draw) })?.instance.id
    counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return counts
}

const balancers: Record<string, Balancer> = { weightedRandom, roundRobin, leastCost, affinity }

/** Draws whose share lies further than this many standard deviations away: once in a million tests. */
const sigmas = 5

function expectShares(
  counts: ReadonlyMap<string | undefined, number>,
  weights: readonly number[],
  draws: number,
) {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  for (const [index, weight] of weights.entries()) {
    const share = total === 0 ? 1 / weights.length : weight / total
    const deviation = Math.sqrt(draws * share * (1 - share))
    expect(Math.abs((counts.get(`i${index}`) ?? 0) - draws * share)).toBeLessThanOrEqual(
      sigmas * deviation + 1,
    )
  }
}

const weights = fc.array(fc.nat(20), { minLength: 1, maxLength: 12 })

describe.each(Object.entries(balancers))('%s', (name, balancer) => {
  it('gives each a share of the requests in proportion to its weight', () => {
    fc.assert(
      fc.property(weights, (weights) => {
        const draws = 10_000
        const choose = balancer(weighing(weights))
        const counts = counted(choose, draws, (draw) => ({
          turn: draw,
          key: `key-${draw}`,
          // Without a difference in cost, two choices are one.
          ...(name === 'leastCost' && { cost: ({ instance }) => instance.weight }),
        }))
        if (name === 'roundRobin') {
          const total = weights.reduce((sum, weight) => sum + weight, 0)
          for (const [index, weight] of weights.entries()) {
            const share = total === 0 ? 1 / weights.length : weight / total
            expect(Math.abs((counts.get(`i${index}`) ?? 0) - draws * share)).toBeLessThanOrEqual(
              weights.length + 1 + total / 10,
            )
          }
        } else if (name !== 'leastCost' || new Set(weights).size === 1) expectShares(counts, weights, draws)
      }),
      { numRuns: 60 },
    )
  })

  it('never chooses one that is to be avoided, and nobody when all are', () => {
    fc.assert(
      fc.property(weights, fc.array(fc.nat(11)), (weights, avoided) => {
        const all = weighing(weights)
        const out = new Set(avoided.map((index) => `i${index}`))
        const avoid = ({ instance }: Entry) => out.has(instance.id)
        const counts = counted(balancer(all), 50, (draw) => ({ turn: draw, key: `${draw}`, avoid }))
        const left = all.filter((entry) => !avoid(entry))
        for (const id of counts.keys()) expect(id === undefined || !out.has(id)).toBe(true)
        if (left.length === 0) expect([...counts.keys()]).toEqual([undefined])
        else if (left.some(({ instance }) => instance.weight > 0)) expect(counts.has(undefined)).toBe(false)
      }),
    )
  })

  it('answers the same to the same choice, and nothing when there is nobody', () => {
    const choose = balancer(weighing([1, 5, 2]))
    const cost = () => 1
    for (const random of [0, 0.3, 0.999_999]) {
      const choice = { random, turn: 3, key: 'k', cost }
      expect(choose(choice)).toBeDefined()
      expect(choose(choice)).toBe(choose(choice))
    }
    expect(balancer([])({ random: 0.5, turn: 1, key: 'k' })).toBeUndefined()
  })
})

describe('weighted random', () => {
  it('shares what an avoided one would have had among the others', () => {
    const all = weighing([3, 1, 1, 1])
    const avoid = (entry: Entry) => entry === all[0]
    const counts = counted(weightedRandom(all), 9_000, () => ({ avoid }))
    for (const id of ['i1', 'i2', 'i3']) expect(counts.get(id)! / 9_000).toBeCloseTo(1 / 3, 1)
  })
})

describe('round robin', () => {
  it('mixes evenly', () => {
    const choose = roundRobin(weighing([5, 1, 1]))
    const order = Array.from({ length: 14 }, (_, turn) => choose({ random: 0, turn })?.instance.id).join(' ')
    expect(order.slice(0, 20)).toBe(order.slice(21))
    expect(order).not.toMatch(/(i0 ){4}/)
  })

  it('gives everybody a turn, however far the weights are apart', () => {
    const counts = counted(roundRobin(weighing([65_535, 1, 1])), 5_000, (turn) => ({ turn }))
    expect(counts.get('i1')).toBeGreaterThan(0)
    expect(counts.get('i2')).toBeGreaterThan(0)
  })
})

describe('least cost', () => {
  it('takes the cheaper of two, so that the dearest of all gets next to nothing', () => {
    const all = weighing([1, 1, 1, 1, 1])
    const cost = ({ instance }: Entry) => Number(instance.id.slice(1))
    const counts = counted(leastCost(all), 10_000, () => ({ cost }))
    expect(counts.get('i4') ?? 0).toBe(0)
    expect(counts.get('i0')!).toBeGreaterThan(counts.get('i1')!)
  })

  it('spreads load that it is told of nearly evenly, by weight', () => {
    const all = weighing([1, 1, 2, 4])
    const pending = new Map(all.map((entry) => [entry, 0]))
    const choose = leastCost(all)
    const random = randoms()
    for (let request = 0; request < 4_000; request++) {
      const chosen = choose({ random: random(), cost: (entry) => pending.get(entry)! + 1 })!
      pending.set(chosen, pending.get(chosen)! + 1)
    }
    for (const [{ instance }, count] of pending) {
      const fair = (4_000 * instance.weight) / 8
      expect(Math.abs(count - fair)).toBeLessThan(fair * 0.05)
    }
  })
})

describe('affinity', () => {
  it('moves only the keys of the instance that went, also when it is only avoided', () => {
    const all = weighing([1, 2, 3, 1, 1])
    const before = affinity(all)
    const without = affinity(all.slice(1))
    const avoid = (entry: Entry) => entry === all[0]
    for (let n = 0; n < 2_000; n++) {
      const choice = { random: 0, key: `user-${n}` }
      const chosen = before(choice)!
      if (chosen !== all[0]) expect(without(choice)).toBe(chosen)
      expect(before({ ...choice, avoid })).toBe(without(choice))
    }
  })
})

describe('zone-aware', () => {
  const zones = (near: number, far: number) => [
    ...Array.from({ length: near }, (_, n) => entry(`near${n}`, { zone: 'a' })),
    ...Array.from({ length: far }, (_, n) => entry(`far${n}`, { zone: 'b' })),
  ]
  function nearShare(registered: readonly Entry[], healthyNear: number): number {
    const alive = registered.filter(
      ({ instance }) => instance.zone === 'b' || Number(instance.id.slice(4)) < healthyNear,
    )
    const counts = counted(zoneAware(weightedRandom, { zone: 'a', registered })(alive), 10_000)
    return [...counts].reduce((sum, [id, count]) => sum + (id?.startsWith('near') ? count : 0), 0) / 10_000
  }

  it.each([
    [10, 1],
    [8, 1],
    [5, 0.7],
    [1, 0.14],
    [0, 0],
  ])('keeps requests near while it can: with %i of 10 alive, a share of %f', (alive, share) => {
    expect(nearShare(zones(10, 10), alive)).toBeCloseTo(share, 1)
  })

  it('goes far when everybody near is avoided, and near when everybody far is', () => {
    const all = zones(2, 2)
    const choose = zoneAware(weightedRandom, { zone: 'a', registered: all })(all)
    const not = (zone: string) => ({ avoid: ({ instance }: Entry) => instance.zone === zone })
    expect([...counted(choose, 100, () => not('a')).keys()].every((id) => id?.startsWith('far'))).toBe(true)
    expect([...counted(choose, 100, () => not('b')).keys()].every((id) => id?.startsWith('near'))).toBe(true)
  })
})

describe('slow start', () => {
  it('gives a newcomer the share that it is warm for', () => {
    const all = weighing([1, 1, 1, 1])
    const warmth = (entry: Entry) => (entry === all[0] ? 0.2 : 1)
    const counts = counted(slowStart(weightedRandom)(all), 20_000, () => ({ warmth }))
    expect(counts.get('i0')! / 20_000).toBeCloseTo(0.05, 2)
    expect(counts.get('i1')! / 20_000).toBeCloseTo(0.317, 2)
  })

  it('sends everything to newcomers when there is nobody else', () => {
    const all = weighing([1, 1])
    expect(counted(slowStart(weightedRandom)(all), 100, () => ({ warmth: () => 0 })).has(undefined)).toBe(
      false,
    )
  })
})

describe('candidates', () => {
  const of = (...statuses: HealthStatus[]) => statuses.map((status, index) => entry(`i${index}`, {}, status))
  const ids = (entries: readonly Entry[]) => entries.map(({ instance }) => instance.id)

  it('are the passing ones before those with a warning', () => {
    expect(ids(candidates(of('passing', 'warning', 'critical')))).toEqual(['i0'])
    expect(ids(candidates(of('critical', 'warning', 'maintenance')))).toEqual(['i1'])
    expect(ids(candidates(of('critical', 'maintenance')))).toEqual([])
  })

  it('are all but those in maintenance when too few are healthy', () => {
    const entries = of('passing', 'critical', 'critical', 'maintenance')
    expect(ids(candidates(entries, 0.5))).toEqual(['i0', 'i1', 'i2'])
    expect(ids(candidates(entries, 0.3))).toEqual(['i0'])
    expect(ids(candidates(of('critical', 'critical'), 0.5))).toEqual(['i0', 'i1'])
  })
})

describe('a subset', () => {
  const all = Array.from({ length: 50 }, (_, index) => entry(`i${index}`))

  it('is the same for the same caller, and loses one when one goes', () => {
    const part = subset(all, 10, 'caller-1')
    expect(part).toHaveLength(10)
    expect(subset([...all].reverse(), 10, 'caller-1')).toEqual(part)
    const without = subset(
      all.filter((entry) => entry !== part[0]),
      10,
      'caller-1',
    )
    expect(without.filter((entry) => part.includes(entry))).toHaveLength(9)
  })

  it('spreads callers over everybody', () => {
    const callers = 500
    const counts = new Map<Entry, number>()
    for (let caller = 0; caller < callers; caller++)
      for (const entry of subset(all, 10, `caller-${caller}`)) counts.set(entry, (counts.get(entry) ?? 0) + 1)
    for (const entry of all) expect(Math.abs(counts.get(entry)! - 100)).toBeLessThan(sigmas * Math.sqrt(100))
  })

  it('is everybody when there are not more', () => {
    expect(subset(all, 50, 'me')).toBe(all)
  })
})
