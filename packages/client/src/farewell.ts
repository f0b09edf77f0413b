import { Worker } from 'node:worker_threads'

/** Leases to be released, and the servers of which any may be asked to. */
export interface Farewell {
  readonly urls: readonly string[]
  readonly tokens: readonly string[]
}

/** Milliseconds that a dying process is held up at most. */
const patience = 2_000

/**
 * Releases leases from a process that is about to end and has no turn of its event loop left: a second thread does it,
 * while this one stands still, for two seconds at most.
 */
export function farewell(farewells: readonly Farewell[]): void {
  if (farewells.length === 0) return
  const done = new Int32Array(new SharedArrayBuffer(4))
  // From its own source text, so that it also works inside a bundle. `execArgv`: loaders and debuggers stay out of it.
  new Worker(`(${release})()`, { eval: true, execArgv: [], workerData: { farewells, done, patience } })
  Atomics.wait(done, 0, 0, patience)
}

/** Runs in the other thread: refers to nothing outside itself, not even to what a bundler adds to functions with names. */
async function release(): Promise<void> {
  const { workerData } = process.getBuiltinModule('node:worker_threads')
  const { farewells, done, patience } = workerData as {
    farewells: Farewell[]
    done: Int32Array
    patience: number
  }
  await Promise.allSettled(
    farewells.flatMap(({ urls, tokens }) =>
      tokens.map((token) =>
        Promise.any(
          urls.map(async (url) => {
            const response = await fetch(`${url}/api/v1/leases/release`, {
              method: 'POST',
              headers: { 'content-type': 'application/json' },
              body: JSON.stringify({ token }),
              signal: AbortSignal.timeout(patience),
            })
            if (!response.ok) throw new Error(await response.text())
          }),
        ),
      ),
    ),
  )
  Atomics.store(done, 0, 1)
  Atomics.notify(done, 0)
}
