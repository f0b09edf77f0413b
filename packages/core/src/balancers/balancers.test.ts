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

/** A share further away than this many standard deviations comes by chance once in 500 million, and thousands are looked at. */
const sigmas = 6

function expectShare(count: number | undefined, share: number, draws: number) {
  const deviation = Math.sqrt(draws * Math.max(0, share * (1 - share)))
  expect(Math.abs((count ?? 0) - draws * share)).toBeLessThanOrEqual(sigmas * deviation + 1)
}

/** Of i0, i1 and so on, in proportion to these weights. */
function expectShares(
  counts: ReadonlyMap<string | undefined, number>,
  weights: readonly number[],
  draws: number,
) {
  for (const [index, share] of sharesOf(weights).entries()) expectShare(counts.get(`i${index}`), share, draws)
}

function sharesOf(weights: readonly number[]): readonly number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => (total === 0 ? 1 / weights.length : weight / total))
}

const unit = fc.double({ min: 0, max: 1, noNaN: true })
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

describe.each([
  ['weighted random', weightedRandom],
  ['affinity', affinity],
] as const)('%s', (_, balancer) => {
  it('shares what an avoided one would have had among the others, by weight', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 12 }), (weights) => {
        const draws = 10_000
        const [first, ...others] = weighing(weights)
        const avoid = (entry: Entry) => entry === first
        const choose = balancer([first!, ...others])
        const counts = counted(choose, draws, (draw) => ({ avoid, key: `key-${draw}` }))
        expectShares(counts, [0, ...weights.slice(1)], draws)
      }),
      { numRuns: 60 },
    )
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
  it('gives each as much as two draws do: the k-th cheapest of n is better than n - k', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.nat(1_000), (size, seed) => {
        const draws = 10_000
        const random = randoms(seed + 2)
        // All different, in any order.
        const costs = Array.from({ length: size }, () => random())
        const cost = ({ instance }: Entry) => costs[Number(instance.id.slice(1))]!
        const counts = counted(leastCost(weighing(costs.map(() => 1))), draws, () => ({ cost }))
        for (const [index, own] of costs.entries()) {
          const dearer = costs.filter((other) => other > own).length
          expectShare(counts.get(`i${index}`), (2 * dearer) / (size * (size - 1)), draws)
        }
      }),
      { numRuns: 60 },
    )
  })

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
  const inside = fc.integer({ min: 1, max: 20 })

  it.each([
    [10, 1],
    [8, 1],
    [5, 0.7],
    [1, 0.14],
    [0, 0],
  ])('keeps requests near while it can: with %i of 10 alive, a share of %f', (healthyNear, share) => {
    const draws = 10_000
    const registered = zones(10, 10)
    const alive = registered.filter(
      ({ instance }) => instance.zone === 'b' || Number(instance.id.slice(4)) < healthyNear,
    )
    const counts = counted(zoneAware(weightedRandom, { zone: 'a', registered })(alive), draws)
    const near = [...counts].reduce((sum, [id, count]) => sum + (id?.startsWith('near') ? count : 0), 0)
    expectShare(near, share, draws)
  })

  it.each(Object.entries({ weightedRandom, roundRobin, affinity }))(
    'shares out by weight on each side, over %s',
    (_, balancer) => {
      fc.assert(
        fc.property(
          fc.array(inside, { minLength: 1, maxLength: 6 }),
          fc.array(inside, { minLength: 1, maxLength: 6 }),
          fc.array(inside, { minLength: 0, maxLength: 6 }),
          (near, far, lost) => {
            const draws = 10_000
            const alive = [...near, ...far].map((weight, index) =>
              entry(`i${index}`, { weight, zone: index < near.length ? 'a' : 'b' }),
            )
            const gone = lost.map((weight, index) => entry(`gone${index}`, { weight, zone: 'a' }))
            const choose = zoneAware(balancer, { zone: 'a', registered: [...alive, ...gone] })(alive)
            const counts = counted(choose, draws, (draw) => ({ turn: draw, key: `key-${draw}` }))
            const sum = (weights: readonly number[]) => weights.reduce((total, weight) => total + weight, 0)
            const kept = Math.min(1, (1.4 * sum(near)) / sum([...near, ...lost]))
            const shares = [
              ...sharesOf(near).map((share) => share * kept),
              ...sharesOf(far).map((share) => share * (1 - kept)),
            ]
            for (const [index, share] of shares.entries()) expectShare(counts.get(`i${index}`), share, draws)
          },
        ),
        { numRuns: 60 },
      )
    },
  )

  it('goes far when everybody near is avoided, and near when everybody far is', () => {
    const all = zones(2, 2)
    const choose = zoneAware(weightedRandom, { zone: 'a', registered: all })(all)
    const not = (zone: string) => ({ avoid: ({ instance }: Entry) => instance.zone === zone })
    expect([...counted(choose, 100, () => not('a')).keys()].every((id) => id?.startsWith('far'))).toBe(true)
    expect([...counted(choose, 100, () => not('b')).keys()].every((id) => id?.startsWith('near'))).toBe(true)
  })
})

describe('slow start', () => {
  it('gives newcomers the shares that they are warm for, and what is missing to the others', () => {
    const warm = fc.record({ weight: fc.integer({ min: 1, max: 20 }), warmth: unit })
    fc.assert(
      fc.property(fc.array(warm, { minLength: 2, maxLength: 8 }), (members) => {
        const draws = 10_000
        const warmth = ({ instance }: Entry) => members[Number(instance.id.slice(1))]!.warmth
        const all = weighing(members.map(({ weight }) => weight))
        const counts = counted(slowStart(weightedRandom)(all), draws, () => ({ warmth }))
        const shares = sharesOf(members.map(({ weight }) => weight))
        for (const [index, share] of shares.entries()) {
          // Turned down once, a request stays where it comes next.
          const inherited = shares.reduce(
            (sum, other, at) =>
              at === index ? sum : sum + (other * (1 - members[at]!.warmth) * share) / (1 - other),
            0,
          )
          expectShare(counts.get(`i${index}`), share * members[index]!.warmth + inherited, draws)
        }
      }),
      { numRuns: 60 },
    )
  })

  it.each(Object.entries(balancers))('gives a newcomer what it is warm for, over %s', (_, balancer) => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), unit, (size, share) => {
        const draws = 10_000
        const all = weighing(Array.from({ length: size }, () => 1))
        const warmth = (entry: Entry) => (entry === all[0] ? share : 1)
        const counts = counted(slowStart(balancer)(all), draws, (draw) => ({
          ...{ warmth, turn: draw, key: `key-${draw}` },
        }))
        expectShare(counts.get('i0'), share / size, draws)
      }),
      { numRuns: 60 },
    )
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

describe('panic', () => {
  const statuses = fc.array(fc.constantFrom<HealthStatus>('passing', 'warning', 'critical', 'maintenance'), {
    minLength: 1,
    maxLength: 12,
  })

  it('spreads requests over all but those in maintenance, from the share on that it is told', () => {
    fc.assert(
      fc.property(statuses, unit, (statuses, panic) => {
        const draws = 5_000
        const all = statuses.map((status, index) => entry(`i${index}`, {}, status))
        const counts = counted(weightedRandom(candidates(all, panic)), draws)
        const having = (...wanted: HealthStatus[]) =>
          statuses.map((status) => Number(wanted.includes(status)))
        const count = (members: readonly number[]) => members.filter((member) => member === 1).length
        const wanted = having('passing', 'warning', 'critical')
        const alive = having('passing', 'warning')
        const passing = having('passing')
        const healthy = count(passing) > 0 ? passing : alive
        const chosen = count(alive) < count(wanted) * panic ? wanted : healthy
        if (count(chosen) === 0) expect([...counts]).toEqual([[undefined, draws]])
        else expectShares(counts, chosen, draws)
      }),
    )
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
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 49 }), fc.string(), (size, prefix) => {
        const callers = 500
        const counts = new Map<Entry, number>()
        for (let caller = 0; caller < callers; caller++)
          for (const entry of subset(all, size, `${prefix}-${caller}`))
            counts.set(entry, (counts.get(entry) ?? 0) + 1)
        for (const entry of all) expectShare(counts.get(entry), size / all.length, callers)
      }),
      { numRuns: 20 },
    )
  })

  it('is everybody when there are not more', () => {
    expect(subset(all, 50, 'me')).toBe(all)
  })
})
