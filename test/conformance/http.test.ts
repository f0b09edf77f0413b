import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { http } from '@seamark/client'
import { describeEngine, drivenTime, type Harness } from '@seamark/conformance'
import { type Clock, type Engine, memory } from '@seamark/core'
import { fakeClock } from '@seamark/core/testing'
import { lmdb } from '@seamark/lmdb'
import { server } from '@seamark/server'
import { line } from '../servers/line.ts'

/** What the server keeps its truth in; `reopen` ends it, and answers what comes up after. */
interface Kept extends AsyncDisposable {
  readonly engine: Engine
  reopen(): Promise<Engine>
}

async function keptInMemory(clock: Clock): Promise<Kept> {
  const engine = memory({ clock })
  // The memory stands for a truth elsewhere that several servers share: it lives on when one of them dies.
  return { engine, reopen: async () => engine, [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose]() }
}

async function keptInLmdb(clock: Clock): Promise<Kept> {
  const directory = mkdtempSync(join(tmpdir(), 'seamark-http-'))
  let engine = await lmdb(directory, { clock })
  return {
    get engine() {
      return engine
    },
    async reopen() {
      await engine[Symbol.asyncDispose]()
      engine = await lmdb(directory, { clock })
      return engine
    },
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/**
 * Client, protocol and server as one engine. Leases live in the engine behind the server, so its clock is the one that
 * tests drive; sockets live in the world's time, and nothing that is asserted depends on how much of it passes.
 */
function overHttp(engineName: string, open: (clock: Clock) => Promise<Kept>): Harness {
  return {
    // The engine's own, and half a second for the network on top.
    terms: { minimumTtl: 100, lateness: 1_000 },
    async setup() {
      const clock = fakeClock()
      const kept = await open(clock)
      const way = await line()
      const start = (engine: Engine) => server({ engine, engineName, port: 0, allowCommandChecks: true })
      let running = await start(kept.engine)
      way.lead(running.port)
      return {
        time: drivenTime(clock),
        async open() {
          const engine = http(way.url)
          await engine.contact()
          return engine
        },
        async disconnect() {
          way.cut()
        },
        // Whoever is connected sees the connection break first: there is no goodbye.
        async crash() {
          way.lead(undefined)
          way.cut()
          await running.close()
          running = await start(await kept.reopen())
          way.lead(running.port)
        },
        async [Symbol.asyncDispose]() {
          await way[Symbol.asyncDispose]()
          await running.close()
          await kept[Symbol.asyncDispose]()
        },
      }
    },
    skip: [
      {
        reason: 'an id names one instance in a namespace of a Seamark server: that is id_taken',
        tests: ['the same id in two services of a namespace is two instances'],
      },
    ],
  }
}

describeEngine('a Seamark server over the memory engine, seen over HTTP', overHttp('memory', keptInMemory))
describeEngine('a Seamark server over the LMDB engine, seen over HTTP', overHttp('lmdb', keptInLmdb))
