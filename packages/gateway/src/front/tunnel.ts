import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '@seamark/core'

/**
 * Carries what is not HTTP any more, both ways, until both sides have ended, one breaks, or nothing passes for `timeout` ms.
 */
export class Tunnel {
  readonly #clock: Clock
  readonly #timeout: number
  readonly #sides: readonly [Duplex, Duplex]
  #moved = false
  #timer: Timer | undefined

  constructor(clock: Clock, timeout: number, client: Duplex, instance: Duplex) {
    this.#clock = clock
    this.#timeout = timeout
    this.#sides = [client, instance]
    for (const [from, to] of [
      [client, instance],
      [instance, client],
    ] as const) {
      from.on('data', this.#passed)
      from.on('error', this.#close)
      from.on('close', () => {
        // What came before is still to be written; a side that broke takes the other one with it.
        if (from.readableEnded && from.writableFinished) to.end()
        else to.destroy()
        this.#timer?.cancel()
      })
      from.pipe(to)
    }
    this.#timer = clock.after(timeout, () => this.#look())
  }

  readonly #passed = (): void => {
    this.#moved = true
  }

  readonly #close = (): void => {
    for (const side of this.#sides) side.destroy()
  }

  #look(): void {
    if (!this.#moved) this.#close()
    else {
      this.#moved = false
      this.#timer = this.#clock.after(this.#timeout, () => this.#look())
    }
  }
}
