import type { Notice, Notify } from '@seamark/core'

/** Where an engine's notices go, and whoever wants to hear of them joins; it exists before the server does. */
export interface Notices {
  /** For the engine's options. */
  readonly notify: Notify
  /** Hears of every notice from now on, and of those that nobody has heard yet. */
  subscribe(listener: Notify): Disposable
}

/** Notices kept while nobody listens: those of an engine that opens. */
const kept = 100

export function notices(): Notices {
  const listeners = new Set<Notify>()
  const early: Notice[] = []
  return {
    notify(notice) {
      if (listeners.size === 0 && early.length < kept) early.push(notice)
      for (const listener of listeners) listener(notice)
    },
    subscribe(listener) {
      listeners.add(listener)
      for (const notice of early.splice(0)) listener(notice)
      return { [Symbol.dispose]: () => listeners.delete(listener) }
    },
  }
}
