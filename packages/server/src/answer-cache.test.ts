import { describe, expect, it } from 'vitest'
import { answer } from './answer.ts'
import { AnswerCache, type Made, type Replica } from './answer-cache.ts'

/** A thing that answers are made of, and how often one was made. */
class Thing implements Replica {
  staleSince: number | undefined = undefined
  value = 0
  made = 0
  bytes = 10
  there = true
  readonly #listeners = new Set<() => void>()

  subscribe(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }

  get watched(): boolean {
    return this.#listeners.size > 0
  }

  change(value = this.value): void {
    this.value = value
    for (const listener of this.#listeners) listener()
  }

  make = (): Made => {
    this.made++
    const { value, staleSince } = this
    return {
      answer: answer({ route: '/', json: JSON.stringify({ value, padding: 'x'.repeat(this.bytes) }) }),
      holds: this.there ? () => this.value === value && this.staleSince === staleSince : undefined,
    }
  }
}

function cached(bound = 1_000_000) {
  const thing = new Thing()
  const answers = new AnswerCache(bound)
  answers.follow(thing)
  const value = (key: string) => {
    const found = answers.get(key)
    return found && JSON.parse(found.body.toString()).value
  }
  return { thing, answers, value }
}

describe('a kept answer', () => {
  it('is made once for whoever asks the same, by question and by URL', () => {
    const { thing, answers } = cached()
    const first = answers.getOrMake('question', thing.make)
    answers.alias('question', '/url')
    expect(answers.getOrMake('question', thing.make)).toBe(first)
    expect(answers.get('/url')).toBe(first)
    expect(answers.get('/other')).toBeUndefined()
    expect(thing.made).toBe(1)
  })

  it('is the same after a change elsewhere', () => {
    const { thing, answers } = cached()
    const first = answers.getOrMake('question', thing.make)
    thing.change()
    expect(answers.get('question')).toBe(first)
  })

  it('is made again when what it says has changed: once, for all its keys', () => {
    const { thing, answers, value } = cached()
    answers.getOrMake('question', thing.make)
    answers.alias('question', '/url')
    thing.change(1)
    expect(value('/url')).toBe(1)
    expect(value('question')).toBe(1)
    expect(thing.made).toBe(2)
  })

  it('is made again when a replica is lost or comes back, which its listeners are not told', () => {
    const { thing, answers } = cached()
    const fresh = answers.getOrMake('question', thing.make)
    thing.staleSince = 7
    expect(answers.get('question')).not.toBe(fresh)
    thing.staleSince = undefined
    answers.get('question')
    expect(thing.made).toBe(3)
  })

  it('is made again when its owner says that something changed', () => {
    const { thing, answers, value } = cached()
    answers.getOrMake('question', thing.make)
    thing.value = 5
    answers.invalidate()
    expect(value('question')).toBe(5)
  })

  it('is forgotten once there is nothing more to keep', () => {
    const { thing, answers } = cached()
    answers.getOrMake('question', thing.make)
    answers.alias('question', '/url')
    thing.there = false
    thing.change(1)
    expect(answers.get('question')).toBeDefined()
    expect(answers.get('question')).toBeUndefined()
    expect(answers.get('/url')).toBeUndefined()
  })

  it('is forgotten when it cannot be made, so that the route says why', () => {
    const { thing, answers } = cached()
    let broken = false
    const make = () => {
      if (broken) throw new Error('broken')
      return thing.make()
    }
    answers.getOrMake('question', make)
    broken = true
    thing.change(1)
    expect(answers.get('question')).toBeUndefined()
    expect(() => answers.getOrMake('question', make)).toThrow('broken')
    broken = false
    expect(answers.getOrMake('question', make)).toBeDefined()
  })

  it('is not kept at all if it may not be', () => {
    const { thing, answers } = cached()
    thing.there = false
    answers.getOrMake('question', thing.make)
    answers.alias('question', '/url')
    expect(answers.get('question')).toBeUndefined()
    expect(answers.get('/url')).toBeUndefined()
  })
})

describe('the bound', () => {
  it('lets the oldest go', () => {
    const { thing, answers } = cached(10_000)
    for (let n = 0; n < 100; n++) answers.getOrMake(`${n}`, thing.make)
    expect(answers.get('0')).toBeUndefined()
    expect(answers.get('99')).toBeDefined()
    const kept = Array.from({ length: 100 }, (_, n) => answers.get(`${n}`)).filter(Boolean)
    expect(kept.length).toBeGreaterThan(5)
    expect(kept.length).toBeLessThan(10)
  })

  it('counts every URL of one answer', () => {
    const { thing, answers } = cached(100_000)
    answers.getOrMake('other', thing.make)
    answers.getOrMake('question', thing.make)
    for (let n = 0; n < 10_000; n++) {
      answers.getOrMake('question', thing.make)
      answers.alias('question', `/url?${n}`)
    }
    const urls = Array.from({ length: 10_000 }, (_, n) => answers.get(`/url?${n}`)).filter(Boolean)
    expect(urls.length).toBeLessThan(1_000)
    expect(answers.get('other')).toBeUndefined()
  })

  it('holds when an answer grows', () => {
    const { thing, answers } = cached(10_000)
    answers.getOrMake('old', thing.make)
    answers.getOrMake('new', thing.make)
    thing.bytes = 6_000
    thing.change(1)
    expect(answers.get('new')?.body.length).toBeGreaterThan(6_000)
    answers.get('old')
    expect([answers.get('old'), answers.get('new')].filter(Boolean)).toHaveLength(1)
    thing.bytes = 20_000
    thing.change(2)
    expect(answers.getOrMake('new', thing.make).body.length).toBeGreaterThan(20_000)
    expect(answers.get('new')).toBeUndefined()
  })

  it('lets nobody go for one that is larger than itself', () => {
    const { thing, answers } = cached(10_000)
    answers.getOrMake('small', thing.make)
    const large = () => ({ ...thing.make(), answer: answer({ route: '/', json: 'x'.repeat(20_000) }) })
    answers.getOrMake('large', large)
    expect(answers.get('large')).toBeUndefined()
    expect(answers.get('small')).toBeDefined()
  })

  it('is not used up by what was let go', () => {
    const { thing, answers } = cached(10_000)
    for (let n = 0; n < 1_000; n++) {
      thing.bytes = (n * 37) % 3_000
      thing.change(n)
      answers.getOrMake(`${n % 7}`, thing.make)
      answers.alias(`${n % 7}`, `/${n % 11}`)
    }
    thing.bytes = 5_000
    answers.getOrMake('last', thing.make)
    expect(answers.get('last')).toBeDefined()
  })
})

it('lets go of the replicas when closed', () => {
  const { thing, answers } = cached()
  answers.close()
  expect(thing.watched).toBe(false)
})
