// A registry in a process of its own: to weigh it, or to fill a store. Needs --expose-gc.
import { catalog, instance, memory } from '@seamark/core'
import { lmdb } from '@seamark/lmdb'
import { answers } from './answers.js'

/** As many services as a large installation has. */
const services = 1_000
/** Registrations under way at once, so that they share commits. */
const together = 10_000

/**
 * Registers so many instances in an engine with a catalog, and answers what each of them weighs, in bytes.
 * @param {{ directory: string | undefined, count: number }} request the store's directory; without one, in memory
 */
async function fill({ directory, count }) {
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
  return { heap: heapUsed + external, resident: rss }
}

const functions = { fill }
/** @typedef {typeof functions} Functions */
answers(functions)
