import { EventEmitter, once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { instance } from '@seamark/core'
import { engineOf, program, programNames } from '../scripts/programs.js'
import { lanes } from './lanes.js'
import { median, percentile, rounds } from './rounds.js'
import { versionOf } from './server.js'
import { ttl } from './systems/system.js'

/** @import { Engine, Instance } from '@seamark/core' */
/** @import { Benchmark, Options } from './figure.js' */
/** @import { Bare, System } from './systems/system.js' */

const names = /** @type {const} */ (['etcd', 'redis', 'postgres', 'zookeeper', 'consul'])
/** @typedef {typeof names[number]} Name */

const inFlight = 64
const services = Array.from({ length: 16 }, (_, index) => `api-${index}`)
const watched = { namespace: 'default', service: 'watched' }
/** Milliseconds in which nobody hears of a change: then it was lost. */
const patience = 30_000

/** @type {Benchmark} */
export default {
  name: 'engines',
  title: 'each engine, against the least that its driver can do',
  goals: {},

  async run(options) {
    const measured = wanted()
    const others = names.filter((name) => !measured.includes(name))
    if (others.length > 0) options.note(`Not among ENGINES=${process.env.ENGINES}: ${others.join(', ')}`)
    for (const name of measured) {
      if (program(name) === undefined)
        options.note(`${name}: not installed, so not measured: npm run engines:install ${name}`)
      else await measure(name, options)
    }
  },
}

/** Those that `ENGINES=etcd,redis` names, as for the tests; by default all. */
function wanted() {
  const asked = (process.env.ENGINES ?? '').split(',').flatMap((name) => name.trim() || [])
  const known = new Set(programNames.map(engineOf))
  const unknown = asked.find((name) => !known.has(name))
  if (unknown !== undefined)
    throw new Error(`ENGINES names ${JSON.stringify(unknown)}; known are ${[...known].join(', ')}.`)
  return names.filter((name) => asked.length === 0 || asked.includes(name))
}

/**
 * @param {Name} name
 * @param {Options} options
 */
async function measure(name, options) {
  /** @type {{ default: System }} */
  const { default: system } = await import(`./systems/${name}.js`)
  /** @type {{ open(url: string): Promise<Engine> }} */
  const { open } = await import(`@seamark/${name}`)
  const folder = join(options.directory, name)
  mkdirSync(folder)
  const server = await system.start(folder)
  options.note(`${name} ${versionOf(name)}, ${system.settings}`)
  const [owner, reader] = await Promise.all([open(server.url), open(server.url)])
  const bare = await system.connect(server.url)
  await compare({ name, driver: system.driver, owner, reader, bare }, options)
  await Promise.all([owner[Symbol.asyncDispose](), reader[Symbol.asyncDispose](), bare.close()])
  await server.close()
}

/**
 * @param {{ name: Name, driver: string, owner: Engine, reader: Engine, bare: Bare }} contestants
 * @param {Options} options
 */
async function compare({ name, driver, owner, reader, bare }, { smoke, report }) {
  const told = await delays(owner, reader, bare, smoke ? { count: 3, pause: 20 } : { count: 100, pause: 125 })
  const milliseconds = smoke ? 100 : 1_000
  const registered = await rounds(
    {
      Seamark: () => perSecond((number) => register(owner, registration(number)), milliseconds),
      [driver]: () =>
        perSecond((number) => {
          const written = registration(number)
          return bare.write(written.id, JSON.stringify(written))
        }, milliseconds),
    },
    smoke ? 1 : 5,
  )
  report({ what: `${name}: registrations, against its driver`, ...registered.ratio('Seamark', driver) })

  const ratios = told.Seamark.map((delay, index) => delay / (told.bare[index] ?? Number.NaN))
  report({
    what: `${name}: until a watcher is told, p50`,
    value: percentile(told.Seamark, 0.5),
    unit: 'ms',
    details: {
      [`${driver}, ms`]: percentile(told.bare, 0.5),
      'times as long, in the median': median(ratios),
    },
  })
  report({
    what: `${name}: until a watcher is told, p99`,
    value: percentile(told.Seamark, 0.99),
    unit: 'ms',
    details: { [`${driver}, ms`]: percentile(told.bare, 0.99), 'of each': ratios.length },
  })
}

/**
 * @param {number} number
 * @param {{ namespace: string, service: string }} [of]
 */
function registration(number, of) {
  return instance({
    namespace: 'default',
    service: services[number % services.length] ?? '',
    id: `i-${number}`,
    address: '10.0.0.1',
    port: 3000,
    tags: ['blue', 'eu'],
    metadata: { team: 'shop' },
    ...of,
  })
}

/**
 * @param {Engine} engine
 * @param {Instance} registered
 * @returns {Promise<() => Promise<void>>} what releases it
 */
async function register(engine, registered) {
  const { token } = await engine.register(registered, { ttl: ttl * 1_000 })
  return async () => {
    if ((await engine.release(token)) === undefined)
      throw new Error(`The registration of ${registered.id} was lost.`)
  }
}

let last = 0

/**
 * Writes new ones for so long, and then removes them, which does not count: so each round finds the same.
 * @param {(number: number) => Promise<() => Promise<void>>} write
 * @param {number} milliseconds
 */
async function perSecond(write, milliseconds) {
  /** @type {(() => Promise<void>)[]} */
  const removals = []
  const begun = performance.now()
  const lane = async () => {
    while (performance.now() - begun < milliseconds) removals.push(await write(++last))
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  const took = performance.now() - begun
  await lanes(removals.length, inFlight, (index) => removals[index]?.() ?? Promise.resolve())
  return (removals.length / took) * 1_000
}

/**
 * Milliseconds until one who watches was told of a registration, and of a write of the driver's: of each so many, in
 * turn, one at a time, when all has been quiet for a while.
 * @param {Engine} owner
 * @param {Engine} reader
 * @param {Bare} bare
 * @param {{ count: number, pause: number }} options
 */
async function delays(owner, reader, bare, { count, pause }) {
  const watch = await watching(reader)
  const contestants = {
    Seamark: {
      expect: watch.expect,
      write: (/** @type {Instance} */ written) => register(owner, written),
    },
    bare: {
      expect: bare.expect,
      write: (/** @type {Instance} */ written) => bare.announce(written.id, JSON.stringify(written)),
    },
  }
  /** @type {Record<keyof typeof contestants, number[]>} */
  const measured = { Seamark: [], bare: [] }
  const warming = Math.ceil(count / 10)
  for (let round = -warming; round < count; round++)
    for (const name of /** @type {const} */ (['Seamark', 'bare'])) {
      const { expect, write } = contestants[name]
      const written = registration(++last, watched)
      const tell = new EventEmitter()
      const told = once(tell, 'told')
      await expect(written.id, () => tell.emit('told', performance.now()))
      await sleep(pause)
      const begun = performance.now()
      const remove = await write(written)
      const [moment] = await Promise.race([told, watch.failed, silence()])
      if (round >= 0) measured[name].push(moment - begun)
      await remove()
    }
  watch.close()
  return measured
}

/** @returns {Promise<never>} */
async function silence() {
  await sleep(patience, undefined, { ref: false })
  throw new Error(`Nobody was told within ${patience} ms.`)
}

/**
 * Follows one service, from a handle that registers nothing.
 * @param {Engine} engine
 */
async function watching(engine) {
  const controller = new AbortController()
  /** @type {Map<string, () => void>} */
  const expected = new Map()
  const batches = engine.watch([watched], controller.signal)[Symbol.asyncIterator]()
  await batches.next()
  /** @returns {Promise<never>} */
  const follow = async () => {
    for (;;) {
      const { done, value } = await batches.next()
      if (done) throw new Error('The watch ended.')
      for (const change of value.changes)
        if (change.type === 'put') expected.get(change.entry.instance.id)?.()
    }
  }
  const failed = follow()
  failed.catch(() => {})
  return {
    /** Rejects when the watch fails. */
    failed,
    async expect(/** @type {string} */ id, /** @type {() => void} */ told) {
      expected.clear()
      expected.set(id, told)
    },
    close: () => controller.abort(),
  }
}
