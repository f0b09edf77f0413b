import { http } from '@seamark/client'
import { describeEngine, realTime, type Skip } from '@seamark/conformance'
import type { Batch, Engine, Terms } from '@seamark/core'
import { type Server, server } from '@seamark/server'
import { line } from '../servers/line.ts'

export interface SharedEngine {
  /** What its own run shows and this one would take too long for. */
  readonly skip?: readonly Skip[]
  /** As in "two Seamark servers over …". */
  readonly name: string
  /** The engine's own. */
  readonly terms: Terms
  /** Opens an engine: of one world, the same truth each time. */
  open(world: string): Promise<Engine>
}

/**
 * Two Seamark servers over one engine are one registry: the suite's handles lead to the one and the other by turns, each
 * over a connection that can be cut.
 */
export function describeTwoServers({ name, terms, open, skip = [] }: SharedEngine): void {
  let worlds = 0
  describeEngine(`two Seamark servers over ${name}`, {
    // Half a second for the network on top: what the client adds to what the server says.
    terms: { minimumTtl: terms.minimumTtl, lateness: terms.lateness + 500 },
    async setup() {
      const world = `world${++worlds}`
      const ways = [await line(), await line()] as const
      let running: { engine: Engine; server: Server }[] = []

      async function start(): Promise<void> {
        running = await Promise.all(
          ways.map(async (way, index) => {
            const engine = await open(world)
            const options = { engineName: 'shared', port: 0, allowCommandChecks: true }
            const started = await server({ engine, shared: true, name: `server-${index}`, ...options })
            way.lead(started.port)
            return { engine, server: started }
          }),
        )
      }

      async function stop(): Promise<void> {
        for (const way of ways) {
          way.lead(undefined)
          way.cut()
        }
        for (const { engine, server } of running) {
          await server.close()
          await engine[Symbol.asyncDispose]()
        }
      }

      await start()
      let opened = 0

      /**
       * A server may be behind the other by moments, as it may be behind the engine. The suite reads from one handle what it
       * wrote through another: such a read waits until its server is as far as the others are.
       */
      async function* caughtUp(at: number, batches: AsyncIterable<Batch>): AsyncGenerator<Batch> {
        const furthest = Math.max(...running.map(({ server }) => server.catalog.revision))
        // A server that is being killed has nothing to catch up with.
        await running[at]!.server.catalog.reached(furthest, AbortSignal.timeout(5_000)).catch(() => {})
        yield* batches
      }

      return {
        time: realTime(),
        async open() {
          const at = opened++ % 2
          const engine = http(ways[at]!.url)
          await engine.contact()
          const { watch, watchAll } = engine
          return Object.assign(engine, {
            watch: (...asked: Parameters<typeof watch>) => caughtUp(at, watch.apply(engine, asked)),
            watchAll: (...asked: Parameters<typeof watchAll>) => caughtUp(at, watchAll.apply(engine, asked)),
          })
        },
        async disconnect() {
          for (const way of ways) way.cut()
        },
        async crash() {
          await stop()
          await start()
        },
        async [Symbol.asyncDispose]() {
          await stop()
          for (const way of ways) await way[Symbol.asyncDispose]()
        },
      }
    },
    skip: [
      {
        reason: 'an id names one instance in a namespace of a Seamark server: that is id_taken',
        tests: ['the same id in two services of a namespace is two instances'],
      },
      ...skip,
    ],
  })
}
