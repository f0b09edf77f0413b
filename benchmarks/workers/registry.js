// A registry in a process of its own: to weigh it, or to fill a store. Needs --expose-gc.
import { readFileSync } from 'node:fs'
import { catalog, instance, memory } from '@seamark/core'
import { lmdb } from '@seamark/lmdb'
import { answers } from './answers.js'

/** As many services as a large installation has. */
const services = 1_000

/**
 * Registers so many instances in an engine with a catalog, and answers what each of them weighs, in bytes.
 * @param {object} request
 * @param {string | undefined} request.directory the store's; without one, in memory
 * @param {number} request.count
 * @param {number} request.together registrations under way at once
 */
async function fill({ directory, count, together }) {
  const before = weight()
  const engine = directory === undefined ? memory() : await lmdb(directory)
  const replica = catalog(engine)
  await replica.warm()
  for (let first = 0; first < count; first += together)
    await Promise.all(
      Array.from({ length: Math.min(together, count - first) }, (_, index) =>
        register(engine, first + index),
      ),
    )
  await replica.reached(count)
  if (replica.size !== count)
    throw new Error(`${count} instances were registered, and the catalog has ${replica.size}.`)
  const after = weight()
  await replica[Symbol.asyncDispose]()
  await engine[Symbol.asyncDispose]()
  return { heap: (after.heap - before.heap) / count, resident: (after.resident - before.resident) / count }
}

/**
 * @param {import('@seamark/core').Engine} engine
 * @param {number} number
 */
function register(engine, number) {
  const service = `service-${number % services}`
  return engine.register(
    instance({
      namespace: 'default',
      service,
      id: `${service}-${number.toString(36)}`,
      address: `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`,
      port: 3000,
      version: '1.2.3',
      zone: 'eu-1',
      tags: ['blue', 'eu'],
      metadata: { team: 'shop' },
    }),
    { ttl: 3_600_000 },
  )
}

/** What the process weighs without garbage: on V8's heap and beside it, and as the system sees it. */
function weight() {
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, resident: ownMemory() ?? rss }
}

/** Bytes of this process's own, where the system tells: LMDB's file is mapped, and is the system's cache. */
function ownMemory() {
  if (process.platform !== 'linux') return undefined
  const [, kilobytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024
}

const functions = { fill }
/** @typedef {typeof functions} Functions */
answers(functions)
