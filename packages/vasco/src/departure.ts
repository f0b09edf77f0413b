/** One who has something registered when the process ends. */
export interface Departing {
  /** Deregisters everything. Never rejects. */
  depart(): Promise<void>
  /** Begins to, without waiting: this process has no turn of its event loop left. */
  farewell(): void
}

const signals = ['SIGTERM', 'SIGINT'] as const

/** On listeners that only stand in the way of a signal's effect: of other Seamark packages, and of other copies of this. */
const standsInTheWay = Symbol.for('seamark.departure')

/** Milliseconds that deregistering may hold up the end of the process. */
const patience = 5_000

/** From now on, `one` departs with the process; until disposed of. */
export function departure(one: Departing): Disposable {
  let leaving: Promise<void> | undefined

  async function onSignal(signal: NodeJS.Signals): Promise<void> {
    const alone = process.listeners(signal).every((listener) => standsInTheWay in listener)
    // Asked a second time, it goes at once.
    if (leaving === undefined) {
      leaving = leave(one)
      await leaving
      leaving = undefined
    }
    // If nobody else listens, only this stood in the way of the signal's own effect: now it takes its course.
    if (!alone) return
    unlisten()
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
  }
  onSignal[standsInTheWay] = true

  function onExit(): void {
    one.farewell()
  }

  function unlisten(): void {
    for (const signal of signals) process.removeListener(signal, onSignal)
    process.removeListener('exit', onExit)
  }

  // Before all others: one who listens once is gone from the list as soon as it was called.
  for (const signal of signals) process.prependListener(signal, onSignal)
  process.on('exit', onExit)
  return { [Symbol.dispose]: unlisten }
}

async function leave(one: Departing): Promise<void> {
  let timeout: NodeJS.Timeout | undefined
  await Promise.race([
    one.depart(),
    new Promise((resolve) => {
      timeout = setTimeout(resolve, patience)
    }),
  ])
  clearTimeout(timeout)
}
