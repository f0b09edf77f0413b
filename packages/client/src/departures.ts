import { type Farewell, farewell } from './farewell.ts'

/** One who has something registered when the process ends. */
export interface Departing {
  /** Deregisters everything. Never rejects. */
  depart(): Promise<void>
  /** What another thread needs in order to do so. */
  farewell(): Farewell | undefined
}

const signals = ['SIGTERM', 'SIGINT'] as const

/** On listeners that only stand in the way of a signal's effect: of other Seamark packages, and of other copies of this. */
const standsInTheWay = Symbol.for('seamark.departure')

/** Milliseconds that deregistering may hold up the end of the process. */
const patience = 5_000

const departing = new Set<Departing>()
let leaving: Promise<void> | undefined

/** From now on, `one` departs with the process; until disposed of. The process has one set of handlers, however many join. */
export function departWithProcess(one: Departing): Disposable {
  if (departing.size === 0) listen()
  departing.add(one)
  return {
    [Symbol.dispose]: () => {
      if (departing.delete(one) && departing.size === 0) unlisten()
    },
  }
}

function listen(): void {
  // Before all others: one who listens once is gone from the list as soon as it was called.
  for (const signal of signals) process.prependListener(signal, onSignal)
  process.prependListener('uncaughtExceptionMonitor', onUncaughtException)
}

function unlisten(): void {
  for (const signal of signals) process.removeListener(signal, onSignal)
  process.removeListener('uncaughtExceptionMonitor', onUncaughtException)
}

async function onSignal(signal: NodeJS.Signals): Promise<void> {
  const alone = process.listeners(signal).every((listener) => standsInTheWay in listener)
  // Asked a second time, it goes at once.
  if (leaving === undefined) {
    leaving = leave()
    await leaving
    leaving = undefined
  }
  // If nobody else listens, only this stood in the way of the signal's own effect: now it takes its course.
  if (!alone) return
  unlisten()
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
}
onSignal[standsInTheWay] = true

async function leave(): Promise<void> {
  let timeout: NodeJS.Timeout | undefined
  await Promise.race([
    Promise.all([...departing].map((one) => one.depart())),
    new Promise((resolve) => {
      timeout = setTimeout(resolve, patience)
    }),
  ])
  clearTimeout(timeout)
}

/** The process dies of it, with Node's own message and exit code, right after this returns; unless somebody catches it. */
function onUncaughtException(): void {
  if (process.listenerCount('uncaughtException') > 0 || process.hasUncaughtExceptionCaptureCallback()) return
  farewell([...departing].flatMap((one) => one.farewell() ?? []))
}
