/** Something done again and again, as callers do. */
export interface Repetition extends AsyncDisposable {
  /** How often it was done without an error. */
  readonly times: number
  readonly errors: readonly unknown[]
}

/** Does it every 20 ms, each time after the last has ended, until this is disposed of. */
export function repeatedly(work: () => Promise<void>): Repetition {
  const errors: unknown[] = []
  let times = 0
  let over = false
  async function go(): Promise<void> {
    while (!over) {
      try {
        await work()
        times++
      } catch (error) {
        errors.push(error)
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const life = go()
  return {
    get times() {
      return times
    },
    errors,
    async [Symbol.asyncDispose]() {
      over = true
      await life
    },
  }
}
